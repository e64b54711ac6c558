package web

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/verify/report"
	"github.com/regferry/regferry/verify/report/browsertest"
)

// visit opens a server's page, which asks for nothing elsewhere.
func visit(t *testing.T, url string) *browsertest.Page {
	t.Helper()
	return browsertest.Open(t, url+"/", true, func(asked string) bool { return strings.HasPrefix(asked, url+"/") })
}

func headline(t *testing.T, p *browsertest.Page, begins string) {
	t.Helper()
	p.Until(t, fmt.Sprintf(`document.getElementById("headline").textContent.startsWith(%q)`, begins))
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
	headline(t, b, "In step, 1")
	b.Until(t, `document.querySelectorAll(".uplot canvas").length === 3`)
	if got := browsertest.Eval[int](t, b, `document.querySelectorAll(".rounds tbody tr").length`); got != 10 {
		t.Errorf("%d rounds are shown", got)
	}
	first := b.Text(t, "#headline")
	b.Until(t, fmt.Sprintf(`document.getElementById("headline").textContent !== %q`, first)) // it counts by itself

	change(func(p *mirror.PairStatus) {
		p.State, p.Now, p.NextRound = mirror.Waiting, nil, time.Now().Add(4*time.Minute)
		p.Rounds = append([]mirror.Round{{Number: 4211, Kind: "full", Started: time.Now(), Seconds: 61, Complete: true, Tags: 3}}, p.Rounds...)
	})
	b.Until(t, `document.querySelector(".rounds tbody th").textContent.startsWith("#4211")`)
	b.Until(t, `document.querySelector(".now").hidden && /in (4 min|3 min \d+ s)/.test(document.querySelector(".facts").textContent)`) // it counts down

	change(func(p *mirror.PairStatus) { p.Refused = plan })
	b.Until(t, `document.getElementById("headline").textContent.endsWith("; deletions refused")`)
	if got := b.Text(t, ".command code"); got != plan.Command {
		t.Errorf("the command is %q", got)
	}
	b.Until(t, `document.getElementById("said").textContent.includes("refused")`)

	// By keyboard: the skip link first, then down to the button that copies.
	b.Run(t, chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`), chromedp.KeyEvent(kb.Tab))
	if got := browsertest.Eval[string](t, b, `document.activeElement.className`); got != "skip" {
		t.Errorf("Tab goes to %q first", got)
	}
	b.Run(t, chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	if got := browsertest.Eval[string](t, b, `document.activeElement.innerText`); got != "Copy" {
		t.Errorf("Tab goes on to %q", got)
	}
	b.Run(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, `/^(Copied|Selected)$/.test(document.querySelector(".command button").textContent)`)
	b.Run(t, chromedp.KeyEvent(kb.Tab))
	if got := browsertest.Eval[string](t, b, `document.activeElement.innerText`); got != "All 25 rounds" {
		t.Errorf("Tab goes on to %q", got)
	}
	b.Run(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, `document.querySelectorAll(".rounds tbody tr").length === 25`)
	if got := browsertest.Eval[string](t, b, `document.activeElement.innerText`); got != "Only the last 10" {
		t.Errorf("the focus is lost, at %q", got)
	}
	if outline := browsertest.Eval[string](t, b, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
		t.Errorf("the focus cannot be seen: %s", outline)
	}

	stop()
	b.Until(t, `document.getElementById("line").textContent.startsWith("disconnected since ")`)
	b.Until(t, `document.getElementById("said").textContent === "Disconnected."`)
	change(func(p *mirror.PairStatus) {
		p.State, p.Refused = mirror.Stopped, nil
		p.Reason = "another writer: destination tag payments/ledger:2.4.1 is neither ours nor the source's"
	})
	serve(t, Options{Source: source, Registry: registry(), Listen: strings.TrimPrefix(s.URL(), "http://")})
	headline(t, b, "Stopped: another writer")
	b.Until(t, `document.getElementById("line").textContent === "live" && document.getElementById("verdict").className === "bad"`)
	if browsertest.Eval[bool](t, b, `document.body.classList.contains("cut") || !document.querySelector(".refused").hidden`) {
		t.Error("something of before is left")
	}
	b.Quiet(t)
}

// What each state is called, and in which tone.
func TestVerdicts(t *testing.T) {
	base := mirror.PairStatus{Name: "eu", State: mirror.Waiting, Lag: 3, LastRound: time.Now()}
	with := func(f func(p *mirror.PairStatus)) mirror.PairStatus { p := base; f(&p); return p }
	source := newSource(base)
	s, _ := serve(t, Options{Source: source})
	b := visit(t, s.URL())
	headline(t, b, "In step")
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
		headline(t, b, c.says)
		b.Until(t, fmt.Sprintf(`document.getElementById("verdict").className === %q`, c.tone))
	}
	worse := with(func(p *mirror.PairStatus) { p.Name, p.State, p.Reason = "us", mirror.Stopped, "finished" })
	source.set(func() { source.status.Pairs = []mirror.PairStatus{base, worse} })
	headline(t, b, "us: Stopped: finished")
	worse.State = mirror.Waiting
	source.set(func() { source.status.Pairs = []mirror.PairStatus{base, worse} })
	headline(t, b, "All 2 in step, ")
	if got := browsertest.Eval[string](t, b, `[...document.querySelectorAll("#index a")].map((a) => document.querySelector(a.getAttribute("href")).textContent).join()`); got != "eu,us" {
		t.Errorf("the list of pairs leads to %q", got)
	}
	b.Quiet(t)
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
	b.Until(t, `document.querySelectorAll(".behind li").length === 4 && document.querySelectorAll("canvas").length > 0`)
	if got := browsertest.Eval[bool](t, b, `/[\u202e\x1b]/.test(document.documentElement.outerHTML + document.title)`); got {
		t.Error("a character that turns or hides text is on the page")
	}
	if got := b.Text(t, ".behind li"); !strings.HasPrefix(got, "<img src=x onerror") || !strings.Contains(got, `\u{202e}\u{1b}[31m\u{a}`) {
		t.Errorf("a name is shown as %q", got)
	}
	b.Quiet(t)
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
		b.Until(t, `document.querySelectorAll(".uplot canvas").length > 1`)
		for _, c := range []struct {
			name, scheme string
			width        int64
		}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"phone", "light", 360}, {"phone-dark", "dark", 360}} {
			picture := b.Picture(t, c.scheme, c.width)
			if err := os.WriteFile(filepath.Join(out, set.name+"-"+c.name+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b.Quiet(t)
	}
}
