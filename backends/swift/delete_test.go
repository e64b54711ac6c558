package swift_test

import (
	"bytes"
	"io"
	"net/url"
	"strings"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestDeleteLeavesSharedSegments is what registry 2.8 does to its own blobs
// (issue 2878): it moves an upload by a second manifest of the same segments.
// Whichever is deleted, the other one is whole.
func TestDeleteLeavesSharedSegments(t *testing.T) {
	server := servers.Swift(t)
	account := server.Account(t)
	makeContainer(t, account, "shared")
	o := options(server, "shared")
	var said []string
	o.Notice = func(text string) { said = append(said, text) }
	s := open(t, o)
	defer s.Close()
	const segments = "segments/2f6/46f636b6572/"
	content := strings.Repeat("segment ", 1000)
	put := func(name, content string, h ncw.Headers) {
		t.Helper()
		_, err := account.ObjectPut(t.Context(), "shared", name, strings.NewReader(content), false, "", "application/octet-stream", h)
		if err != nil {
			t.Fatal(err)
		}
	}
	put(segments+"0000000000000001", content, nil)
	put(segments+"0000000000000002", content, nil)
	const upload, blob = "docker/registry/v2/repositories/a/_uploads/1/data", "docker/registry/v2/blobs/sha256/ab/abcd/data"
	for _, key := range []string{upload, blob} {
		put("files/"+key, "", ncw.Headers{"X-Object-Manifest": url.PathEscape("shared") + "/" + segments})
	}
	if err := s.Delete(t.Context(), upload); err != nil {
		t.Fatal(err)
	}
	b, err := s.Open(t.Context(), blob, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b)
	_ = b.Close()
	if err != nil || !bytes.Equal(got, []byte(content+content)) {
		t.Errorf("the blob has %d bytes, want %d; %v", len(got), 2*len(content), err)
	}
	if !strings.Contains(strings.Join(said, "\n"), "segments/") {
		t.Errorf("that segments stay is not said: %q", said)
	}
}
