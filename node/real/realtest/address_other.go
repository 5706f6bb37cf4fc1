//go:build !linux

package realtest

import (
	"net"
	"testing"
)

// Address returns a loopback address that is free. Outside Linux nothing keeps it so.
func Address(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free address: %v", err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
