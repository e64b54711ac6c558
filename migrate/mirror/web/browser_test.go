package web

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/verify/report"
)

// browser is a page in Chromium, with everything it complained of.
type browser struct {
	context.Context

	mu       sync.Mutex
	troubles []string
}

// visit starts Chromium and opens a page. Without Chromium the test is skipped,
// or fails where REGFERRY_CI is set.
func visit(t *testing.T, url string) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("-short runs no real programs")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("REGFERRY_CI") != "" {
			t.Fatal("chromium is not installed: run .ci/tools")
		}
		t.Skip("chromium is not installed: run .ci/tools")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	timeout, cancelTimeout := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute) // cleanup still needs it
	allocator, cancelAllocator := chromedp.NewExecAllocator(timeout, options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("ending chromium: %v", err)
		}
		cancel()
		cancelAllocator()
		cancelTimeout()
	})
	b := &browser{Context: ctx}
	b.must(t, chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.trouble("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *runtime.EventConsoleAPICalled:
			b.trouble("console: %s of %d values", e.Type, len(e.Args))
		case *log.EventEntryAdded:
			if e.Entry.Source != "network" { // what is cut off is told so
				b.trouble("log: %s %s", e.Entry.Level, e.Entry.Text)
			}
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, url+"/") {
				b.trouble("request: %s", e.Request.URL)
			}
		case *page.EventJavascriptDialogOpening:
			b.trouble("dialog: %s", e.Message)
		}
	}))
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	b.must(t, err)
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	b.must(t, err)
	b.run(t, chromedp.Navigate(url+"/"), chromedp.WaitReady(chromedp.CSS("footer")))
	return b
}

func (b *browser) trouble(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = append(b.troubles, fmt.Sprintf(format, args...))
}

func (b *browser) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		t.Fatalf("%v; %q", err, b.troubles)
	}
}

func (b *browser) run(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	b.must(t, chromedp.Do(b, steps...))
}

// eval evaluates JavaScript.
func eval[T any](t *testing.T, b *browser, js string) T {
	t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](js))
	b.must(t, err)
	return v
}

func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	return eval[string](t, b, fmt.Sprintf(`document.querySelector(%q).innerText`, selector))
}

// until waits for a JavaScript condition.
func (b *browser) until(t *testing.T, condition string) {
	t.Helper()
	err := chromedp.Do(b, chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(20*time.Second)))
	if err != nil {
		t.Fatalf("never: %s; the page says %q; %v", condition, b.text(t, "header"), err)
	}
}

func (b *browser) headline(t *testing.T, begins string) {
	t.Helper()
	b.until(t, fmt.Sprintf(`document.getElementById("headline").textContent.startsWith(%q)`, begins))
}

func (b *browser) scheme(t *testing.T, v string) {
	t.Helper()
	_, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v}},
	})
	b.must(t, err)
}

// quiet wants no complaint, no request elsewhere and no script of the data.
func (b *browser) quiet(t *testing.T) {
	t.Helper()
	hurt := eval[bool](t, b, `"hurt" in window || document.querySelectorAll("main img, main script, main iframe").length > 0`)
	b.mu.Lock()
	defer b.mu.Unlock()
	if hurt || len(b.troubles) > 0 {
		t.Errorf("a script of the data ran: %v; %q", hurt, b.troubles)
	}
}

// day is a pair as it is met, at work for some hours.
func day(name string) mirror.PairStatus {
	now := time.Now()
	p := mirror.PairStatus{
		Name: name, Source: "file:///var/lib/registry", Destination: "s3://registry-" + name + "/production?region=eu-central-1",
		State: mirror.Running, LastRound: now.Add(-9 * time.Second), Lag: 12, Deleting: true, LeaseHolder: "mirror-7c9f@node-3", Hints: 2, Deleted: 31,
		Now: &mirror.Progress{Kind: "full", Started: now.Add(-14 * time.Second), Phase: "blobs", Objects: 120_331, Bytes: 3_400_000_000_000, TotalObjects: 402_118, TotalBytes: 4_900_000_000_000, Retries: 3},
	}
	for i := range 24 {
		r := mirror.Round{Number: uint64(4210 - i), Kind: []string{"hint", "tags", "tags", "full"}[i%4], Started: now.Add(-time.Duration(i*5+1) * time.Minute), Seconds: []float64{.4, 6.2, 5.9, 74}[i%4], Complete: true}
		switch i % 4 {
		case 0:
			r.Blobs, r.Bytes, r.Links, r.Tags = 7, 212_000_000, 9, 1
		case 3:
			r.Proved, r.Damage, r.Absences = 400, 2, 31
		}
		if i == 6 {
			r.Complete, r.Error = false, "destination: list docker/registry/v2/repositories/: connection reset by peer (transient)"
		}
		if i == 9 {
			r.Complete, r.Undone = false, 4
		}
		p.Rounds = append(p.Rounds, r)
	}
	p.Found = []report.Finding{
		{Kind: report.TagIncomplete, Side: report.Source, Severity: report.Damage, Repository: "payments/ledger", Tag: "2.4.1", Found: "a layer is missing", Advice: "Push the tag again, or delete it."},
		{Kind: report.ContentCorrupt, Side: report.Source, Severity: report.Damage, Key: "docker/registry/v2/blobs/sha256/fe/fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf/data", Found: "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c", Advice: "Push the layer again from where it was built."},
	}
	return p
}

var plan = &mirror.Plan{
	ID: "p-2026-11-30-7", Made: time.Now().Add(-3 * time.Minute), Objects: 9120, Tags: 1800, Blobs: 2400, Bytes: 480_000_000_000,
	Reason:  "It would delete 34% of the tags; --max-delete allows 10%.",
	Command: "regferry mirror approve --config /etc/regferry/mirror.yaml --pair eu p-2026-11-30-7",
}

// serveDay is serve with two hours of history.
func serveDay(t *testing.T, o Options, names ...string) (s *Server, stop func()) {
	t.Helper()
	total := int64(0)
	o.Listen = "127.0.0.1:0"
	o.Written = func(string) (int64, int64) { return total, total / 9_000_000 }
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-(samples + 1) * step)
	pairs := slices.DeleteFunc(o.Source.Status().Pairs, func(p mirror.PairStatus) bool { return !slices.Contains(names, p.Name) })
	for i := range samples {
		x := float64(i)
		total += int64(2e8 * max(0, math.Sin(x/31)*math.Sin(x/7)+.1))
		for j := range pairs {
			if pairs[j].Lag >= 0 {
				pairs[j].Lag = math.Mod(x*10, 300) + 5
			}
		}
		s.history.add(mirror.Status{Pairs: pairs}, now.Add(time.Duration(i)*step), o.Written)
	}
	return s, run(t, s)
}

func newSource(pairs ...mirror.PairStatus) *scripted {
	return &scripted{room: 10, status: mirror.Status{Program: "regferry", Version: "v1.2.0", Started: time.Now().Add(-51 * time.Hour), Pairs: pairs}}
}

// A mirror goes from state to state while somebody watches, and its server
// restarts meanwhile.
func TestPageIsLive(t *testing.T) {
	source := newSource(day("eu"))
	change := func(f func(p *mirror.PairStatus)) {
		source.set(func() {
			p := source.status.Pairs[0]
			f(&p)
			source.status.Pairs = []mirror.PairStatus{p}
		})
	}
	s, stop := serveDay(t, Options{Source: source, Registry: registry()}, "eu")
	b := visit(t, s.URL())
	b.headline(t, "In step, 1")
	b.until(t, `document.querySelectorAll(".uplot canvas").length === 3`)
	if got := eval[int](t, b, `document.querySelectorAll(".rounds tbody tr").length`); got != 10 {
		t.Errorf("%d rounds are shown", got)
	}
	first := b.text(t, "#headline")
	b.until(t, fmt.Sprintf(`document.getElementById("headline").textContent !== %q`, first)) // it counts by itself

	change(func(p *mirror.PairStatus) {
		p.State, p.Now, p.NextRound = mirror.Waiting, nil, time.Now().Add(4*time.Minute)
		p.Rounds = append([]mirror.Round{{Number: 4211, Kind: "full", Started: time.Now(), Seconds: 61, Complete: true, Tags: 3}}, p.Rounds...)
	})
	b.until(t, `document.querySelector(".rounds tbody th").textContent.startsWith("#4211")`)
	b.until(t, `document.querySelector(".now").hidden && document.querySelector(".facts").textContent.includes("in 4 min")`)

	change(func(p *mirror.PairStatus) { p.Refused = plan })
	b.until(t, `document.getElementById("headline").textContent.endsWith("; deletions refused")`)
	if got := b.text(t, ".command code"); got != plan.Command {
		t.Errorf("the command is %q", got)
	}
	b.until(t, `document.getElementById("said").textContent.includes("refused")`)

	// By keyboard: the skip link first, then down to the button that copies.
	b.run(t, chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`), chromedp.KeyEvent(kb.Tab))
	if got := eval[string](t, b, `document.activeElement.className`); got != "skip" {
		t.Errorf("Tab goes to %q first", got)
	}
	b.run(t, chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	if got := eval[string](t, b, `document.activeElement.innerText`); got != "Copy" {
		t.Errorf("Tab goes on to %q", got)
	}
	b.run(t, chromedp.KeyEvent(kb.Enter))
	b.until(t, `/^(Copied|Selected)$/.test(document.querySelector(".command button").textContent)`)
	b.run(t, chromedp.KeyEvent(kb.Tab))
	if got := eval[string](t, b, `document.activeElement.innerText`); got != "All 25 rounds" {
		t.Errorf("Tab goes on to %q", got)
	}
	b.run(t, chromedp.KeyEvent(kb.Enter))
	b.until(t, `document.querySelectorAll(".rounds tbody tr").length === 25`)
	if got := eval[string](t, b, `document.activeElement.innerText`); got != "Only the last 10" {
		t.Errorf("the focus is lost, at %q", got)
	}
	if outline := eval[string](t, b, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
		t.Errorf("the focus cannot be seen: %s", outline)
	}

	stop()
	b.until(t, `document.getElementById("line").textContent.startsWith("disconnected since ")`)
	b.until(t, `document.getElementById("said").textContent === "Disconnected."`)
	change(func(p *mirror.PairStatus) {
		p.State, p.Refused = mirror.Stopped, nil
		p.Reason = "another writer: destination tag payments/ledger:2.4.1 is neither ours nor the source's"
	})
	serve(t, Options{Source: source, Registry: registry(), Listen: strings.TrimPrefix(s.URL(), "http://")})
	b.headline(t, "Stopped: another writer")
	b.until(t, `document.getElementById("line").textContent === "live" && document.getElementById("verdict").className === "bad"`)
	if eval[bool](t, b, `document.body.classList.contains("cut") || !document.querySelector(".refused").hidden`) {
		t.Error("something of before is left")
	}
	b.quiet(t)
}

// What each state is called, and in which tone.
func TestVerdicts(t *testing.T) {
	base := mirror.PairStatus{Name: "eu", State: mirror.Waiting, Lag: 3, LastRound: time.Now()}
	with := func(f func(p *mirror.PairStatus)) mirror.PairStatus { p := base; f(&p); return p }
	source := newSource(base)
	s, _ := serve(t, Options{Source: source})
	b := visit(t, s.URL())
	b.headline(t, "In step")
	for _, c := range []struct {
		pair mirror.PairStatus
		tone string
		says string
	}{
		{with(func(p *mirror.PairStatus) { p.State, p.Lag = mirror.Starting, -1 }), "unknown", "Starting"},
		{with(func(p *mirror.PairStatus) {
			p.State, p.Lag, p.Now = mirror.Running, -1, &mirror.Progress{Kind: "full", Bytes: 43, TotalBytes: 100}
		}), "unknown", "First round under way, 43%"},
		{with(func(p *mirror.PairStatus) { p.State, p.Lag, p.LeaseHolder = mirror.Standby, -1, "b@node-2" }), "unknown", "Standing by: b@node-2 mirrors"},
		{with(func(p *mirror.PairStatus) { p.Overdue, p.Lag = true, 10800 }), "bad", "Overdue: 3 h behind"},
		{with(func(p *mirror.PairStatus) { p.Overdue, p.Lag = true, -1 }), "bad", "Overdue: no round was complete yet"},
		{with(func(p *mirror.PairStatus) { p.State, p.Reason = mirror.BackOff, "destination: 503" }), "warn", "Waiting for a side that fails, "},
		{with(func(p *mirror.PairStatus) { p.State = mirror.Finishing }), "unknown", "Finishing: "},
		{with(func(p *mirror.PairStatus) { p.Rounds = []mirror.Round{{Number: 1, Undone: 1}} }), "warn", "3 s behind, and 1 object left undone"},
		{with(func(p *mirror.PairStatus) { p.State = mirror.Stopped }), "bad", "Stopped"},
		{with(func(p *mirror.PairStatus) { p.State, p.Lag = mirror.Done, -1 }), "good", "Done"},
		{with(func(p *mirror.PairStatus) { p.State, p.Rounds = mirror.Done, []mirror.Round{{Undone: 2}} }), "bad", "Done, but 2 objects left undone"},
		{with(func(p *mirror.PairStatus) {
			p.State, p.Rounds = mirror.Done, []mirror.Round{{Complete: true, Damage: 2}}
		}), "warn", "Done, with 2 objects damaged"},
	} {
		source.set(func() { source.status.Pairs = []mirror.PairStatus{c.pair} })
		b.headline(t, c.says)
		b.until(t, fmt.Sprintf(`document.getElementById("verdict").className === %q`, c.tone))
	}
	worse := with(func(p *mirror.PairStatus) { p.Name, p.State, p.Reason = "us", mirror.Stopped, "finished" })
	source.set(func() { source.status.Pairs = []mirror.PairStatus{base, worse} })
	b.headline(t, "us: Stopped: finished")
	worse.State = mirror.Waiting
	source.set(func() { source.status.Pairs = []mirror.PairStatus{base, worse} })
	b.headline(t, "All 2 in step, ")
	if got := eval[string](t, b, `[...document.querySelectorAll("#index a")].map((a) => document.querySelector(a.getAttribute("href")).textContent).join()`); got != "eu,us" {
		t.Errorf("the list of pairs leads to %q", got)
	}
	b.quiet(t)
}

// No name from a store does anything, or hides anything.
func TestHostileNames(t *testing.T) {
	const bad = "<img src=x onerror=\"window.hurt=1\"></script><script>window.hurt=1</script>\u202e\x1b[31m\n"
	p := day(bad)
	p.Source, p.Destination, p.Reason, p.LeaseHolder, p.State = bad, bad, bad, bad, mirror.BackOff
	p.Behind = []string{bad, "javascript:window.hurt=1"}
	p.Now.Kind, p.Now.Phase = bad, bad
	p.Rounds[0].Kind, p.Rounds[1].Error = bad, bad
	p.Found = []report.Finding{{Kind: bad, Side: bad, Severity: bad, Repository: bad, Tag: bad, Found: bad, Advice: bad}}
	p.Failed = []report.Failure{{Side: bad, Op: bad, Key: bad, Class: bad, Message: bad}}
	p.Refused = &mirror.Plan{ID: bad, Reason: bad, Command: bad}
	other := p
	other.Name = "__proto__"
	source := newSource(p, other)
	source.status.Version = bad
	s, _ := serveDay(t, Options{Source: source}, bad)
	b := visit(t, s.URL())
	b.until(t, `document.querySelectorAll(".behind li").length === 4 && document.querySelectorAll("canvas").length > 0`)
	if got := eval[bool](t, b, `/[\u202e\x1b]/.test(document.documentElement.outerHTML + document.title)`); got {
		t.Error("a character that turns or hides text is on the page")
	}
	if got := b.text(t, ".behind li"); !strings.HasPrefix(got, "<img src=x onerror") || !strings.Contains(got, `\u{202e}\u{1b}[31m\u{a}`) {
		t.Errorf("a name is shown as %q", got)
	}
	b.quiet(t)
}

// The page is looked at by a person: go test -run Screenshots -artifacts
// -outputdir DIR keeps the pictures. What a machine can tell is tested: nothing
// is wider than the window.
func TestScreenshots(t *testing.T) {
	out := t.ArtifactDir()
	job := mirror.PairStatus{
		Name: "job", Source: "file:///var/lib/registry", Destination: "gs://registry-production", State: mirror.Running, Lag: -1,
		Now:    &mirror.Progress{Kind: "full", Started: time.Now().Add(-41 * time.Minute), Phase: "blobs", Objects: 31_204, Bytes: 890_000_000_000, TotalObjects: 45_120, TotalBytes: 1_300_000_000_000, Retries: 12, Failures: 2},
		Failed: []report.Failure{{Side: "source", Op: "read", Key: "docker/registry/v2/blobs/sha256/fe/fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf/data", Class: "denied", Message: "permission denied"}},
	}
	refused := day("eu")
	refused.Refused = plan
	standby := mirror.PairStatus{Name: "us-standby", Source: refused.Source, Destination: "azblob://registry", State: mirror.Standby, Lag: -1, LeaseHolder: "mirror-2@node-9"}
	overdue := day("asia")
	overdue.Overdue, overdue.Lag, overdue.State, overdue.Reason, overdue.Now = true, 12_600, mirror.BackOff, "destination: put docker/registry/v2/blobs/sha256/ab/abab/data: no space left (full)", nil
	overdue.Behind = []string{"payments/ledger", "data-science/notebook-with-a-very-long-name-that-nobody-shortened-in-time/and-a-part", "web/frontend"}
	for _, set := range []struct {
		name  string
		pairs []mirror.PairStatus
	}{{"refused", []mirror.PairStatus{refused}}, {"job", []mirror.PairStatus{job}}, {"several", []mirror.PairStatus{day("eu"), standby, overdue}}} {
		var names []string
		for _, p := range set.pairs {
			names = append(names, p.Name)
		}
		s, _ := serveDay(t, Options{Source: newSource(set.pairs...), Registry: registry()}, names...)
		b := visit(t, s.URL())
		b.until(t, `document.querySelectorAll(".uplot canvas").length > 1`)
		for _, c := range []struct {
			name, scheme string
			width        int64
		}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"phone", "light", 360}, {"phone-dark", "dark", 360}} {
			b.scheme(t, c.scheme)
			b.run(t, chromedp.EmulateViewport(c.width, 900), chromedp.Sleep(400*time.Millisecond))
			picture, err := chromedp.Run(b, chromedp.FullScreenshot(100))
			b.must(t, err)
			if over := eval[int](t, b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
				t.Errorf("%s, %s: %d pixels wider than the window", set.name, c.name, over)
			}
			if err := os.WriteFile(filepath.Join(out, set.name+"-"+c.name+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b.quiet(t)
	}
}
