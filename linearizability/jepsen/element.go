package jepsen

import (
	"dkv/linearizability"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what is read of one EDN element.
const (
	maxEDNDepth = 64
	maxEDNItems = 16 // of a vector that is kept
	maxEDNKept  = 4  // depth to which vectors are
)

// An ednKind is what an element is, as far as a history needs to know.
type ednKind uint8

const (
	ednNone    ednKind = iota // there is no element
	ednNil                    // nil
	ednText                   // a string, a number, true or false
	ednKeyword                // :name, without the colon
	ednVector                 // of kept elements
	ednOther                  // anything else: skipped, and of no use as a value
)

// An ednElement is an element that was read, and where it began.
type ednElement struct {
	position
	kind   ednKind
	number bool // an ednText that is one
	text   string
	items  []ednElement
}

// A place is one in what is read, both from 1.
type position struct{ line, column int }

// fail is the error of what is wrong there.
func (p position) fail(err error) error {
	return &linearizability.FormatError{Line: p.line, Column: p.column, Err: err}
}

// An ednReader reads EDN as Jepsen writes it: nil, numbers, strings, keywords,
// vectors, maps, comments, commas, discarded elements. Lists, sets, symbols,
// characters and tagged elements are understood, and skipped. It knows line and
// column of everything it refuses.
type ednReader struct {
	in     io.ByteScanner
	texts  *linearizability.Source
	line   int
	column int // of the next byte, from 1
	before int // column of the last byte read
	token  []byte
}

// last is where the last byte was read, unless it ended a line; next is behind it.
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

// skip returns the next byte that is neither white space nor comment.
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

// element reads one element, of which it keeps the content if that is asked for.
// At the end of what there is to read it returns one of kind ednNone.
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

// begun reads the element that begins with c; of kind ednNone if it is discarded.
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

// cut is the error of an element that the end of what there is to read cuts off.
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

// dispatch reads what follows a #.
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

// required skips the element that has to follow.
func (r *ednReader) skipRequired(e *ednElement, depth int) error {
	of, err := r.element(depth+1, false)
	if err == nil && of.kind == ednNone {
		err = r.truncated(e, "a tagged element", io.EOF)
	}
	return err
}

// character reads one such as \a or \newline.
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

// word reads a keyword, a number or a symbol, which begins with c.
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
			_ = r.in.UnreadByte() // a byte was just read, so it can be given back
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

// keyword returns one of those that a history means something by without
// holding it again.
func (r *ednReader) keyword(name []byte) string {
	for _, known := range knownWords {
		if string(name) == known {
			return known
		}
	}
	return string(name)
}

// text reads a string behind its opening quotation mark.
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

// escape reads what follows a backslash in a string.
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

// codePoint reads the four digits after \u; the half of a pair that came before it
// is made whole.
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
	// Half of a pair stands as three bytes that are no UTF-8 until the other
	// half comes, as in the encoding that Java writes.
	half := []byte{0xe0 | byte(n>>12), 0x80 | byte(n>>6&0x3f), 0x80 | byte(n&0x3f)}
	if at := len(r.token) - 3; n >= 0xdc00 && at >= 0 && r.token[at] == 0xed && r.token[at+1] >= 0xa0 && r.token[at+1] < 0xb0 {
		high := 0xd000 | rune(r.token[at+1]&0x3f)<<6 | rune(r.token[at+2]&0x3f)
		r.token = utf8.AppendRune(r.token[:at], utf16.DecodeRune(high, n))
		return nil
	}
	r.token = append(r.token, half...)
	return nil
}
