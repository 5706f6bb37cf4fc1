package zktree

import (
	"strings"
	"unicode/utf8"
)

// ValidPath reports whether ZooKeeper accepts path for a node: absolute, no empty,
// "." or ".." element, no trailing slash, and no character that Java's PathUtils
// refuses (controls, surrogates and so everything outside the basic plane,
// private use, U+FFF0 to U+FFFF and so every invalid byte).
func ValidPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' || path[len(path)-1] == '/' {
		return false
	}
	start := 1
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		switch path[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return validCharacters(path)
}

func validCharacters(path string) bool {
	for i := 0; i < len(path); {
		c := path[i]
		if c < utf8.RuneSelf {
			if c <= 0x1f || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(path[i:])
		if r <= 0x9f || (r >= 0xd800 && r <= 0xf8ff) || r >= 0xfff0 {
			return false
		}
		i += size
	}
	return true
}

// ParentOf returns the path above path; ok is false if path has no slash. As in
// ZooKeeper, the root is the parent of "/a" and of itself.
func ParentOf(path string) (parent string, ok bool) {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return "", false
	}
	if slash == 0 {
		return "/", true
	}
	return path[:slash], true
}

func nameOf(path string) string {
	return path[strings.LastIndexByte(path, '/')+1:]
}
