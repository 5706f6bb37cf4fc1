package peer

import (
	"bufio"
	"bytes"
	"testing"

	"dkv/node"
)

func FuzzReadFrame(f *testing.F) {
	f.Add(node.AppendFrame(nil, &node.Envelope{Body: &node.PreVote{Round: 7}}))
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0, 0x40, 0, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReader(bytes.NewReader(stream))
		for range 100 {
			body, err := readFrame(r, node.MaxFrameBytes)
			if cap(body) > 2*len(stream)+trustedBytes {
				t.Fatalf("%d bytes of memory for a stream of %d", cap(body), len(stream))
			}
			if err != nil {
				return
			}
			_, _ = node.DecodeFrame(body)
		}
	})
}
