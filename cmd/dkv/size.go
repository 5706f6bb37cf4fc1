package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is a flag's number of bytes: digits, and KiB, MiB or GiB behind them.
type size int

// sizeUnits from the largest to the smallest.
var sizeUnits = []struct {
	name  string
	bytes int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// maxSize bounds a size: 1 TiB.
const maxSize = 1 << 40

func (s *size) Set(text string) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n > maxSize/u.bytes {
			break
		}
		*s = size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("want a number of bytes, up to 1024GiB (examples: 32MiB, 1GiB, 0)")
}

func (s *size) String() string {
	for _, u := range sizeUnits {
		if n := int(*s); n%u.bytes == 0 && n >= u.bytes {
			return strconv.Itoa(n/u.bytes) + u.name
		}
	}
	return "0"
}

// Type names the kind of value in the help.
func (s *size) Type() string { return "size" }
