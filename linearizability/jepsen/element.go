package jepsen

import (
	"dkv/linearizability"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of one EDN element.
const (
	maxEDNDepth = 64
	maxEDNItems = 16 // in a vector that is kept
	maxEDNKept  = 4  // depth to which vectors are kept
)

// An ednKind is the kind of an element, as far as a history needs it.
type ednKind uint8

const (
	ednNone    ednKind = iota // there is no element
	ednNil                    // nil
	ednText                   // a string, a number, true or false
	ednKeyword                // :name, without the colon
	ednVector                 // of kept elements
	ednOther                  // anything else: skipped, and unusable as a value
)

// An ednElement is an element and its position.
type ednElement struct {
	position
	kind   ednKind
	number bool // an ednText that is a number
	text   string
	items  []ednElement
}

// value returns the element as a key or a value: a string, a number, true or false
// as it is, a keyword with its colon. ok is false for anything else.
func (e *ednElement) value() (text string, ok bool) {
	switch e.kind {
	case ednText:
		return e.text, true
	case ednKeyword:
		return ":" + e.text, true
	}
	return "", false
}

// A position is one in the text that is read; line and column count from 1.
type position struct{ line, column int }

// fail returns an error at this position.
func (p position) fail(err error) error {
	return &linearizability.FormatError{Line: p.line, Column: p.column, Err: err}
}

// An ednReader reads EDN as Jepsen writes it: nil, numbers, strings, keywords, vectors,
// maps, comments, commas and discarded elements. It also parses, and skips, lists, sets,
// symbols, characters and tagged elements. It knows line and column of every error.
type ednReader struct {
	in     io.ByteScanner
	texts  *linearizability.Source
	line   int
	column int // of the next byte, from 1
	before int // column of the last byte read
	token  []byte
}

// last returns the position of the last byte read, unless that ended a line; next returns
// the position after it.
func (r *ednReader) last() position { return position{r.line, r.before} }
func (r *ednReader) next() position { return position{r.line, r.column} }

// read returns the next byte, or io.EOF.
func (r *ednReader) read() (byte, error) {
	c, err := r.in.ReadByte()
	if err != nil {
		if err != io.EOF {
			err = fmt.Errorf("reading the history at line %d: %w", r.line, err)
		}
		return 0, err
	}
	r.before = r.column
	if c == '\n' {
		r.line++
		r.column = 1
	} else {
		r.column++
	}
	return c, nil
}

// skip returns the next byte that is neither white space nor in a comment.
func (r *ednReader) skip() (byte, error) {
	for {
		c, err := r.read()
		switch {
		case err != nil:
			return 0, err
		case c == ';':
			for c != '\n' {
				if c, err = r.read(); err != nil {
					return 0, err
				}
			}
		case c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != ',' && c != '\f':
			return c, nil
		}
	}
}

// element reads one element and keeps its content if keep is set. At the end of the text
// it returns an element of kind ednNone.
func (r *ednReader) element(depth int, keep bool) (ednElement, error) {
	for {
		c, err := r.skip()
		if err == io.EOF {
			return ednElement{}, nil
		}
		if err != nil {
			return ednElement{}, err
		}
		e, err := r.elementFrom(c, depth, keep)
		if err != nil || e.kind != ednNone {
			return e, err
		}
	}
}

// elementFrom reads the element that begins with c. Its kind is ednNone if the element is
// discarded.
func (r *ednReader) elementFrom(c byte, depth int, keep bool) (e ednElement, err error) {
	e.position = r.last()
	if depth > maxEDNDepth {
		return e, e.fail(fmt.Errorf("malformed EDN: nested more than %d levels deep", maxEDNDepth))
	}
	switch c {
	case '"':
		err = r.text(&e, keep)
	case '[':
		err = r.items(&e, ']', depth, keep)
	case '(':
		err = r.items(&e, ')', depth, false)
	case '{':
		err = r.items(&e, '}', depth, false)
	case '#':
		err = r.dispatch(&e, depth)
	case '\\':
		err = r.character(&e)
	case ')', ']', '}':
		err = e.fail(fmt.Errorf("malformed EDN: unmatched %q", c))
	default:
		err = r.word(&e, c)
	}
	return e, err
}

// truncated returns the error for an element that is cut off by the end of the text.
func (r *ednReader) truncated(e *ednElement, what string, err error) error {
	if err != io.EOF {
		return err
	}
	return r.next().fail(fmt.Errorf("the file ends inside %s that began at line %d, column %d (was the file cut off?)", what, e.line, e.column))
}

// collections names what each closing bracket closes.
var collections = map[byte]string{']': "a vector", ')': "a list", '}': "a map or a set"}

func (r *ednReader) items(e *ednElement, closing byte, depth int, keep bool) error {
	e.kind = ednOther
	if keep = keep && depth < maxEDNKept; keep {
		e.kind = ednVector
	}
	for {
		c, err := r.skip()
		if err != nil {
			return r.truncated(e, collections[closing], err)
		}
		if c == closing {
			return nil
		}
		item, err := r.elementFrom(c, depth+1, keep)
		if err != nil {
			return err
		}
		switch {
		case item.kind == ednNone || e.kind == ednOther:
		case len(e.items) == maxEDNItems:
			e.kind, e.items = ednOther, nil
		default:
			e.items = append(e.items, item)
		}
	}
}

// dispatch reads the element after a #.
func (r *ednReader) dispatch(e *ednElement, depth int) error {
	e.kind = ednOther
	c, err := r.read()
	if err != nil {
		return r.truncated(e, "an element", err)
	}
	switch {
	case c == '{':
		return r.items(e, '}', depth, false)
	case c == '"': // a regular expression, as Clojure prints it
		err := r.text(e, false)
		e.kind = ednOther
		return err
	case c == '_':
		if err := r.skipRequired(e, depth); err != nil {
			return err
		}
		e.kind = ednNone
		return nil
	case c == '#': // ##NaN, ##Inf
		err := r.word(e, c)
		e.kind = ednOther
		return err
	case isEDNDelimiter(c):
		return e.fail(errors.New("malformed EDN: # without a tag"))
	}
	if err := r.word(e, c); err != nil { // the tag
		return err
	}
	e.kind, e.text = ednOther, ""
	return r.skipRequired(e, depth)
}

// skipRequired skips the element that must follow.
func (r *ednReader) skipRequired(e *ednElement, depth int) error {
	of, err := r.element(depth+1, false)
	if err == nil && of.kind == ednNone {
		err = r.truncated(e, "a tagged element", io.EOF)
	}
	return err
}

// character reads a character such as \a or \newline.
func (r *ednReader) character(e *ednElement) error {
	c, err := r.read()
	if err != nil {
		return r.truncated(e, "a character", err)
	}
	if c == '\n' {
		return e.fail(errors.New("malformed EDN: the line ends inside a character"))
	}
	err = r.word(e, c)
	e.kind = ednOther
	return err
}

func isEDNDelimiter(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', '\f', ',', '(', ')', '[', ']', '{', '}', '"', ';':
		return true
	}
	return false
}

// word reads a keyword, a number or a symbol that begins with c.
func (r *ednReader) word(e *ednElement, c byte) error {
	r.token = append(r.token[:0], c)
	for {
		c, err := r.in.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading the history at line %d: %w", r.line, err)
		}
		if isEDNDelimiter(c) {
			_ = r.in.UnreadByte() // never fails: a byte was just read
			break
		}
		r.column++
		if r.token = append(r.token, c); len(r.token) > linearizability.MaxLineBytes {
			return e.fail(fmt.Errorf("a word of more than %d bytes", linearizability.MaxLineBytes))
		}
	}
	first := r.token[0]
	digits := r.token
	if (first == '-' || first == '+') && len(digits) > 1 {
		digits = digits[1:]
	}
	switch {
	case first == ':':
		e.kind, e.text = ednKeyword, r.keyword(r.token[1:])
	case string(r.token) == "nil":
		e.kind = ednNil
	case digits[0] >= '0' && digits[0] <= '9':
		e.kind, e.number, e.text = ednText, true, r.texts.Value(r.token)
	case string(r.token) == "true", string(r.token) == "false":
		e.kind, e.text = ednText, r.texts.Value(r.token)
	default:
		e.kind = ednOther
	}
	return nil
}

// keyword returns the name of a keyword, without an allocation if the name is known.
func (r *ednReader) keyword(name []byte) string {
	for _, known := range knownWords {
		if string(name) == known {
			return known
		}
	}
	return string(name)
}

// text reads a string after its opening quotation mark.
func (r *ednReader) text(e *ednElement, keep bool) error {
	e.kind = ednText
	r.token = r.token[:0]
	for {
		c, err := r.read()
		if err != nil {
			return r.truncated(e, "a string", err)
		}
		switch c {
		case '"':
			if keep {
				e.text = r.texts.Value(r.token)
			}
			return nil
		case '\\':
			if err := r.escape(e); err != nil {
				return err
			}
		default:
			r.token = append(r.token, c)
		}
		if len(r.token) > linearizability.MaxLineBytes {
			return e.fail(fmt.Errorf("a string of more than %d bytes", linearizability.MaxLineBytes))
		}
	}
}

// escape reads the rest of an escape after its backslash.
func (r *ednReader) escape(e *ednElement) error {
	at := r.last()
	c, err := r.read()
	if err != nil {
		return r.truncated(e, "a string", err)
	}
	switch c {
	case '"', '\\':
	case 'n':
		c = '\n'
	case 't':
		c = '\t'
	case 'r':
		c = '\r'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'u':
		return r.codePoint(e, at)
	default:
		return at.fail(fmt.Errorf("malformed EDN: invalid escape \\%c in a string", c))
	}
	r.token = append(r.token, c)
	return nil
}

// codePoint reads the four digits after \u. It joins the second half of a surrogate pair
// with the first.
func (r *ednReader) codePoint(e *ednElement, at position) error {
	var n rune
	for range 4 {
		c, err := r.read()
		if err != nil {
			return r.truncated(e, "a string", err)
		}
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return at.fail(errors.New(`malformed EDN: \u needs four hexadecimal digits`))
		}
	}
	if !utf16.IsSurrogate(n) {
		r.token = utf8.AppendRune(r.token, n)
		return nil
	}
	// Until the other half comes, half of a pair is stored as three bytes of invalid
	// UTF-8, as in the encoding that Java writes.
	half := []byte{0xe0 | byte(n>>12), 0x80 | byte(n>>6&0x3f), 0x80 | byte(n&0x3f)}
	if at := len(r.token) - 3; n >= 0xdc00 && at >= 0 && r.token[at] == 0xed && r.token[at+1] >= 0xa0 && r.token[at+1] < 0xb0 {
		high := 0xd000 | rune(r.token[at+1]&0x3f)<<6 | rune(r.token[at+2]&0x3f)
		r.token = utf8.AppendRune(r.token[:at], utf16.DecodeRune(high, n))
		return nil
	}
	r.token = append(r.token, half...)
	return nil
}
