package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
)

// The model's powers to delete and to replace, and how they break.

// Powers leaves out what a bug has lost.
func (m *model) Powers() backends.Powers {
	p := backends.Powers{Syncer: m, Spacer: m, Cleaner: m, Trier: m, Deleter: m, ConditionalPutter: m}
	if m.is("has lost the power to delete") {
		p.Deleter = nil
	}
	if m.is("has lost the power to replace") {
		p.ConditionalPutter = nil
	}
	return p
}

func (m *model) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil && !m.is("deletes when cancelled") {
		return m.fails("delete", key, backends.Unknown, err)
	}
	if m.is("cleans keys that it deletes") {
		key = strings.TrimPrefix(path.Clean("/"+key), "/")
	}
	if err := m.valid("delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	o, pending := m.pending[key]
	if pending && !m.is("deletes what is shown only") {
		delete(m.pending, key)
		_ = os.Remove(o.file)
	}
	m.mu.Unlock()
	shared := m.modelDisk
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if m.is("deletes for its own client") {
		m.modelDisk = &modelDisk{dir: m.dir, objects: maps.Clone(m.objects), uploads: m.uploads, leak: m.leak}
		delete(m.objects, key)
		return nil
	}
	if _, ok := m.objects[key]; !ok && !pending && m.is("absent is no success") {
		return m.fails("delete", key, backends.NotFound, errors.New("no such object"))
	}
	m.remove(key)
	for k := range m.objects {
		if m.is("deletes a prefix") && strings.HasPrefix(k, key) || m.is("deletes what lies beside it") && path.Dir(k) == path.Dir(key) {
			m.remove(k)
		}
	}
	return nil
}

// remove is called with the disk's lock held.
func (m *model) remove(key string) {
	o, ok := m.objects[key]
	if !ok {
		return
	}
	delete(m.objects, key)
	if !m.is("deletes a name and leaves the bytes") {
		_ = os.Remove(o.file)
	}
}

// empty names the directories that a deletion left; the model has none of its own.
func (m *model) empty() []string {
	if m.is("leaves directories") {
		return []string{"d"}
	}
	return nil
}

func (m *model) Get(ctx context.Context, key string) ([]byte, string, error) {
	b, err := m.Open(ctx, key, 0)
	if err != nil {
		return nil, "", err
	}
	content, err := backends.ReadSmall(b)
	if m.is("takes large objects for small") {
		err = nil
	}
	if err != nil {
		return nil, "", m.fails("get", key, backends.ClassOf(err), err)
	}
	return content, m.snapshot()[key].file, nil
}

func (m *model) PutIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	if err := backends.CheckSmall(ctx, content); err != nil && !(m.is("replaces when cancelled") && ctx.Err() != nil) {
		return "", m.fails("replace", key, backends.ClassOf(err), err)
	}
	f, err := m.file()
	if err != nil {
		return "", err
	}
	if _, err := bytes.NewReader(content).WriteTo(f); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	m.modelDisk.mu.Lock()
	defer m.modelDisk.mu.Unlock()
	old, there := m.objects[key]
	matches := version == old.file
	switch {
	case m.is("replaces whatever is there"):
		matches = true
	case m.is("any version will do"):
		matches = there == (version != "")
	case m.is("compares, then writes"):
		m.modelDisk.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		m.modelDisk.mu.Lock()
	}
	if !matches {
		if !m.is("writes before it compares") {
			_ = os.Remove(f.Name())
			return "", m.fails("replace", key, backends.Changed, fmt.Errorf("its version is %q", old.file))
		}
	}
	m.objects[key] = modelObject{file: f.Name(), size: int64(len(content)), time: time.Now()}
	_ = os.Remove(old.file)
	if !matches {
		return "", m.fails("replace", key, backends.Changed, errors.New("too late"))
	}
	return f.Name(), nil
}
