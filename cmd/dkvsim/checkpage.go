package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"dkv/linearizability"
	"dkv/linearizability/report"
)

// writeResultPage writes the HTML report about the history in a file.
func writeResultPage(page, file string, h *linearizability.Recording, r *linearizability.Result) error {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return writePage(page, func(w *bufio.Writer) error {
		return report.WriteHTML(w, r, h.Operations, h.Annotations, report.Options{
			Title:    filepath.Base(file),
			Facts:    []report.Fact{{Name: "history", Value: absolute}},
			Commands: []report.Command{{What: "check this history again", Line: "dkvsim check " + absolute}},
		})
	})
}

func writePage(path string, write func(w *bufio.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<16)
	if err := errors.Join(write(w), w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
