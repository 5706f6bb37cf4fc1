package linearizability

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
)

// mostZstdWindow limits the memory that decompressing may take.
const mostZstdWindow = 128 << 20

// A decompressor reads a text that may be compressed with gzip or Zstandard, which
// it recognizes by its first bytes.
type decompressor struct {
	raw        *bufio.Reader
	text       io.Reader // nil until the first Read
	compressed bool
}

func (d *decompressor) Read(b []byte) (int, error) {
	if d.text == nil {
		if err := d.begin(); err != nil {
			return 0, err
		}
	}
	return d.text.Read(b)
}

func (d *decompressor) begin() (err error) {
	head, err := d.raw.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}): // RFC 1952
		d.compressed = true
		d.text, err = gzip.NewReader(d.raw)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878
		d.compressed = true
		d.text, err = zstd.NewReader(d.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(mostZstdWindow))
	default:
		d.text, err = d.raw, nil
	}
	return err
}
