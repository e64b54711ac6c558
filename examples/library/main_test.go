package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestMove(t *testing.T) {
	to := filepath.Join(t.TempDir(), "to")
	for range 2 { // the second time there is nothing to do
		if err := move(context.Background(), "../registry", to); err != nil {
			t.Fatal(err)
		}
	}
	files := 0
	err := fs.WalkDir(os.DirFS("../registry"), "docker", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		a, err := os.ReadFile(filepath.Join("../registry", name))
		if err != nil {
			return err
		}
		if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s did not arrive as it is: %v", name, err)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("compared %d files: %v", files, err)
	}
}
