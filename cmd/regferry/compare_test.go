//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestCompare runs regferry, rclone and cp in turn over the same registries on
// a tmpfs and prints ratios of medians. It fails if regferry, which verifies
// everything, is slower than rclone. It wants 9 GiB of memory and a machine
// with nothing else to do: make bench.
func TestCompare(t *testing.T) {
	if os.Getenv("REGFERRY_BENCH") != "full" {
		t.Skip("REGFERRY_BENCH=full compares with other programs")
	}
	program, rclone := built(t), servers.Tool(t, "rclone")
	for name, shape := range compared {
		t.Run(name, func(t *testing.T) {
			dir := inMemory(t)
			compare(t, shape, dir, []contender{
				{name: "regferry", program: program, args: []string{"migrate", "--from", "FROM", "--to", "TO", "--checkpoint", "STATE"}},
				{name: "rclone copy, 16 transfers", program: rclone, args: []string{"copy", "--config", "/dev/null", "--transfers", "16", "--checkers", "16", "FROM", "TO"}},
				{name: "cp -a", program: "cp", args: []string{"-a", "FROM/.", "TO"}},
			}, 1)
		})
	}
}

const smallOnes = "45,000 small objects"

// compared are the registries that are moved.
var compared = map[string]layouttest.Shape{
	smallOnes:             {Seed: 1, Repositories: 40, Tags: 112, Layers: 2, MinLayer: 200, MaxLayer: 4000},
	"2.7 GB in 570 blobs": {Seed: 2, Repositories: 4, Tags: 24, Layers: 4, MinLayer: 2 << 20, MaxLayer: 16 << 20},
}

const rounds = 3

// compare has each contender copy to a new directory below dir, and again. It
// fails if rclone, the second one, is faster, or with nothing to do takes less
// than idle times as long.
func compare(t *testing.T, shape layouttest.Shape, dir string, contenders []contender, idle float64) {
	from := filepath.Join(inMemory(t), "from")
	r, err := layouttest.WriteDir(from, shape)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects, %d blobs, %d MB", r.Objects, len(r.Blobs), r.Bytes/1e6)
	first, again := make([][]time.Duration, len(contenders)), make([][]time.Duration, len(contenders))
	for round := range rounds {
		for i, c := range contenders {
			to := filepath.Join(dir, fmt.Sprintf("to-%d-%d", round, i))
			first[i] = append(first[i], c.run(t, from, to))
			again[i] = append(again[i], c.run(t, from, to))
			if out, err := exec.Command("diff", "-rq", "-x", ".sgwtmp", from, to).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", c.name, err, out)
			}
			if err := os.RemoveAll(to); err != nil {
				t.Fatal(err)
			}
			os.Remove(to + ".checkpoint")
		}
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tfirst copy\tto regferry\tnothing to do\tto regferry")
	for i, c := range contenders {
		fmt.Fprintf(w, "%s\t%.2f s\t%.2f\t%.2f s\t%.2f\n", c.name,
			median(first[i]).Seconds(), ratio(first[i], first[0]), median(again[i]).Seconds(), ratio(again[i], again[0]))
	}
	w.Flush()
	t.Logf("medians of %d rounds\n%s", rounds, &table)
	if ratio(first[1], first[0]) < 1 || ratio(again[1], again[0]) < idle {
		t.Error("rclone is too fast")
	}
}

// contender is a program that copies a tree. In its arguments FROM stands for
// the source, TO for the destination, by the name that at gives it, and STATE
// for a file beside it.
type contender struct {
	name, program string
	args          []string
	at            func(dir string) string // nil: the directory itself
}

func (c contender) run(t *testing.T, from, to string) time.Duration {
	t.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	name := to
	if c.at != nil {
		name = c.at(to)
	}
	args := slices.Clone(c.args)
	for i, a := range args {
		args[i] = strings.NewReplacer("FROM", from, "TO", name, "STATE", to+".checkpoint").Replace(a)
	}
	took, _ := timed(t, c.program, args...)
	return took
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func ratio(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }
