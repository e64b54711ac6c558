//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestMirrorSoak mirrors, with deletion, a registry that is pushed to, retagged,
// deleted from and collected, while both sides and the network fail now and
// then. No tag may ever be in sight without all that a pull needs, nothing may be
// deleted while the source is unwell, and at the end one round makes all equal.
// REGFERRY_SOAK is for how long, such as 30m.
func TestMirrorSoak(t *testing.T) {
	times(t, "", 1)
	lasts := 30 * time.Second
	if text := os.Getenv("REGFERRY_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	s := newSoak(t, lasts)
	s.m.waits(t)
	began := time.Now()
	calm, _ := s.figures()
	faults := []struct {
		name string
		do   func(for_ time.Duration)
	}{
		{"connections reset", s.toxic("reset_peer", 0.3, map[string]int{"timeout": 20})},
		{"the source is gone", s.noSource},
		{"garbage collection", s.collect},
		{"latency", s.toxic("latency", 1, map[string]int{"latency": 30, "jitter": 20})},
		{"503", s.answers(http.StatusServiceUnavailable, "SlowDown", 3)},
		{"the destination is full", s.answers(http.StatusInsufficientStorage, "XMinioStorageFull", 1)},
	}
	each := min(lasts/time.Duration(3*len(faults)), time.Minute)
	for rounds := 0; rounds < len(faults) || time.Since(began) < lasts; rounds++ {
		f := faults[rounds%len(faults)]
		t.Logf("%v: %s for %v", time.Since(began).Round(time.Second), f.name, each)
		f.do(each)
		s.push(each)
	}
	s.end(calm, max(4*time.Minute, lasts/3))
}

// soak is a mirror under trial.
type soak struct {
	*testing.T
	sourceDir   string
	destination place
	state       string
	proxy       *servers.Proxy
	gate        *servers.Gate
	pusher      *pusher
	m           *mirroring
	unwell      [][2]time.Time // when the source was
	looks       int
}

func newSoak(t *testing.T, lasts time.Duration) *soak {
	t.Helper()
	dir := fastDir(t, 2<<30)
	t.Setenv("TMPDIR", dir)
	s := &soak{T: t, sourceDir: filepath.Join(dir, "source"), state: filepath.Join(dir, "state")}
	_, s.destination = newPlaces(t, dir, directory, versitygw)
	made, err := layouttest.WriteDir(s.sourceDir, layouttest.Shape{Seed: 7, Repositories: 8, Tags: 4, Layers: 3, MaxLayer: 4000, Shared: 0.1, Indexes: 1, Nested: true})
	if err != nil {
		t.Fatal(err)
	}
	s.pusher = newPusher(s.sourceDir, made, false, 7)
	s.pusher.every = max(20*time.Millisecond, lasts/10_000) // the registry grows to some 10,000 images, however long it lasts
	s.gate = servers.NewGate(t, s.destination.server)
	s.proxy = servers.Toxiproxy(t, s.gate.URL)
	s.m = mirrorWith(t, "--from", s.sourceDir, "--to", locationOf(s.proxy.URL, "images", "the/root"), "--state", s.state,
		"--interval", "1s", "--full-every", "2s", "--delete", "--delete-after", "2s", "--max-delete", "100%", "--lease", "1m", "--patience", "3s", "--sample", "5%")
	return s
}

// push has the registry used for a while, and looks at the destination
// throughout.
func (s *soak) push(for_ time.Duration) {
	s.Helper()
	stop := make(chan struct{})
	var pushing errgroup.Group
	pushing.Go(func() error { return s.pusher.run(stop) })
	s.look(for_)
	close(stop)
	if err := pushing.Wait(); err != nil {
		s.Fatal(err)
	}
}

// look looks for broken tags again and again. What was deleted while it looked
// is no such tag: so it has to be broken twice.
func (s *soak) look(for_ time.Duration) {
	s.Helper()
	for end := time.Now().Add(for_); time.Now().Before(end); {
		var a audit
		broken, err := a.look(s.destination.view(s.T))
		if err != nil {
			continue // listed and gone, while it deletes
		}
		if len(broken) > 0 {
			var again audit
			still, err := again.look(s.destination.view(s.T))
			if err != nil {
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(broken)) {
				if still[name] != nil {
					s.Errorf("%s cannot be pulled: %v", name, still[name])
				}
			}
		}
		if s.looks++; !s.m.running(100 * time.Millisecond) {
			s.Fatalf("the mirror has ended, exit code %d:\n%s", s.m.exit, s.m.out)
		}
	}
}

func (s *soak) toxic(kind string, share float64, attributes map[string]int) func(time.Duration) {
	return func(for_ time.Duration) {
		s.proxy.Add(s.T, servers.Toxic{Type: kind, Stream: "upstream", Toxicity: share, Attributes: attributes})
		s.push(for_)
		s.proxy.Heal(s.T)
	}
}

// answers has one of n writing requests answered so.
func (s *soak) answers(status int, code string, n int64) func(time.Duration) {
	return func(for_ time.Duration) {
		count := make(chan int64, 1)
		count <- 0
		s.gate.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			i := <-count
			count <- i + 1
			if r.Method != http.MethodPut || i%n != 0 {
				return false
			}
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>for a test</Message></Error>", code)
			return true
		})
		s.push(for_)
		s.gate.Meet(nil)
	}
}

// noSource is a volume that is not mounted: the directory is there, and empty.
func (s *soak) noSource(for_ time.Duration) {
	away := s.sourceDir + ".away"
	must := func(err error) {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
	}
	must(os.Rename(s.sourceDir, away))
	begin := time.Now()
	must(os.Mkdir(s.sourceDir, 0o755))
	s.look(for_)
	must(os.Remove(s.sourceDir))
	s.unwell = append(s.unwell, [2]time.Time{begin, time.Now()})
	must(os.Rename(away, s.sourceDir))
}

// collect is the registry's own garbage collection. Nobody pushes meanwhile,
// as the registry demands.
func (s *soak) collect(for_ time.Duration) {
	config := filepath.Join(s.T.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: 127.0.0.1:0}\n", s.sourceDir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	out, err := exec.Command(servers.Tool(s.T, "registry"), "garbage-collect", config).CombinedOutput()
	if err != nil {
		s.Fatalf("garbage-collect: %v\n%.2000s", err, out)
	}
	s.pusher.forget() // what it would push again or retag may be gone
	s.look(for_)
}

// figures are the mirror's goroutines and resident bytes.
func (s *soak) figures() (goroutines, resident float64) {
	s.Helper()
	_, metrics := s.m.get("/metrics")
	return metric(metrics, "go_goroutines"), metric(metrics, "process_resident_memory_bytes")
}

func metric(text, name string) float64 {
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return -1
	}
	n, _ := strconv.ParseFloat(found[1], 64)
	return n
}

// end waits for quiet, not longer than patience, and compares.
func (s *soak) end(calm float64, patience time.Duration) {
	t, source := s.T, onDisk(s.sourceDir)
	t.Helper()
	s.m.until(t, "to come to rest", patience, func() bool {
		p := s.m.status(t)
		if len(p.Rounds) < 2 {
			return false
		}
		for _, r := range p.Rounds[:2] {
			if !r.Complete || r.Blobs+r.Links+r.Tags+r.Deleted != 0 || r.Kind == "full" && r.Absences != p.Rounds[0].Absences {
				return false
			}
		}
		return p.Rounds[0].Kind == "full" || p.Rounds[1].Kind == "full"
	})
	linked := s.linked()
	for _, name := range differences(t, source, s.destination) {
		// A registry's garbage collection leaves links to layers that it deletes in
		// other repositories, and a tag's links to what it has named before; what a
		// link refers to the mirror leaves.
		if parts := strings.Split(name, "/"); !strings.Contains(name, "/blobs/") || !linked[parts[len(parts)-2]] {
			t.Errorf("source and destination differ in %s", name)
		}
	}
	deleted := s.deletions()
	goroutines, resident := s.figures()
	did := s.pusher.done()
	t.Logf("%+v; %d looks, %d objects deleted, %g goroutines (%g at the begin), %.0f MiB", did, s.looks, deleted, goroutines, calm, resident/(1<<20))
	if did.Pushes < 50 || did.Moves < 10 || did.Deletes < 10 || s.looks < 10 || deleted == 0 {
		t.Error("too few to prove anything")
	}
	if goroutines > calm+40 || resident > 256<<20 {
		t.Errorf("%g goroutines, %g at the begin; %.0f MiB", goroutines, calm, resident/(1<<20))
	}
	s.m.stop(t)
}

// linked are the digests that links of the source are named for.
func (s *soak) linked() map[string]bool {
	s.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(s.sourceDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "link" {
			all[filepath.Base(filepath.Dir(path))] = true
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// deletions reads the journal: none while the source was unwell.
func (s *soak) deletions() (n int) {
	s.Helper()
	data, err := os.ReadFile(filepath.Join(s.state, "deletions.jsonl"))
	if err != nil {
		s.Error(err)
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var d struct {
			Time      time.Time
			What, Key string
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			s.Error(err)
			continue
		}
		if d.What != "deleted" {
			continue
		}
		n++
		for _, u := range s.unwell {
			if d.Time.After(u[0].Add(time.Second)) && d.Time.Before(u[1]) {
				s.Errorf("%s was deleted at %v, while the source was gone", d.Key, d.Time)
			}
		}
	}
	return n
}

// forget makes layers that others may use anew, where garbage collection took
// them.
func (p *pusher) forget() {
	for _, name := range p.names {
		repo := p.repos[name]
		if _, err := os.Stat(p.blobPath(repo.layer.Digest)); err == nil {
			continue
		}
		if d, err := p.layer(name, repo.layer.MediaType, fmt.Appendf(nil, "a layer of %s, %d", name, p.rng.Uint64())); err == nil {
			repo.layer = d
		}
	}
}
