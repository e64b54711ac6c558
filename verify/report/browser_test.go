package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/report/browsertest"
)

// open opens a report, which asks for nothing but itself.
func open(t *testing.T, path string) *browsertest.Page {
	t.Helper()
	url := "file://" + path
	return browsertest.Open(t, url, false, func(asked string) bool { return asked == url || strings.HasPrefix(asked, "data:,") })
}

const status = `document.getElementById("status").textContent`

// No name from a store does anything, or hides anything.
func TestPageWithHostileNames(t *testing.T) {
	var tally Tally
	h := summary
	h.Source, h.Destination, h.Options, h.Verdict, h.Error = hostile[0], hostile[1], hostile, strings.Join(hostile, " "), hostile[10]
	dir := writeAll(t, h, strings.Join(hostile[:8], "\n"), func(f *Files) { fillEverything(f, &tally) })
	b := open(t, filepath.Join(dir, "r.html"))
	b.Quiet(t)
	if got := b.Text(t, "header h1"); !strings.Contains(got, `<script>window.hurt=1</script>`) {
		t.Errorf("the verdict shows %q", got)
	}
	list := b.Text(t, "#list")
	for _, want := range []string{`</script><script>window.hurt=2</script>`, `\u{1b}[31mred`, `a\u{a}b\u{d}`, `\u{202e}gnp.exe`, `a\u{2028}b`, `<img src=x`, "漢字"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not show %q", want)
		}
	}
	if n := browsertest.Eval[int](t, b, `document.querySelectorAll("img, iframe, #list script, header script, [onclick], [onmouseover], [onerror]").length`); n != 0 {
		t.Errorf("%d elements came out of data", n)
	}
	if chart := browsertest.Eval[string](t, b, `document.querySelector("#chart").textContent`); !strings.Contains(chart, `<script>window.hurt=1</script>`) {
		t.Errorf("the chart shows %.500s", chart)
	}
	// A script that got in somehow would not run: the policy knows only the page's own.
	if browsertest.Eval[bool](t, b, `{ const s = document.createElement("script"); s.textContent = "window.hurt = 9"; document.body.append(s); "hurt" in window }`) {
		t.Error("the policy lets scripts in")
	}
}

// Everything can be done by keyboard, with findings enough for many pages.
func TestPageByKeyboard(t *testing.T) {
	h := summary
	h.Counts = []Count{{Missing, Source, Damage, 475}, {Skipped, Source, Notice, 475}}
	dir := writeAll(t, h, "", func(f *Files) {
		for i := range 950 {
			f.Finding(Finding{Kind: []Kind{Missing, Skipped}[i%2], Side: Source, Severity: []Severity{Damage, Notice}[i%2], Repository: "team/app", Tag: fmt.Sprint("v", i), Advice: "Push it."})
		}
	})
	b := open(t, filepath.Join(dir, "r.html"))
	is := func(when, want string) {
		t.Helper()
		if got := b.Text(t, "#status"); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	rows := func(want int) {
		t.Helper()
		if n := browsertest.Eval[int](t, b, `document.querySelectorAll("#list li").length`); n != want {
			t.Errorf("%d rows, want %d", n, want)
		}
	}
	is("at first", "1 to 100 of 950")
	rows(100)
	b.TabTo(t, "next")
	b.Run(t, chromedp.KeyEvent(kb.Enter))
	is("after Next", "101 to 200 of 950")
	b.TabTo(t, "last")
	b.Run(t, chromedp.KeyEvent(" "))
	is("after Last", "901 to 950 of 950")
	rows(50)
	b.Run(t, chromedp.Evaluate[chromedp.Void](`document.activeElement.blur(); scrollTo(0, 0)`))
	b.TabTo(t, "text")
	b.Run(t, chromedp.KeyEvent("APP:V94"))
	b.Until(t, status+`.startsWith("1 to 11 ")`)
	is("after typing", "1 to 11 of 11, filtered from 950")
	b.TabTo(t, "severity")
	b.Run(t, chromedp.KeyEvent("notice"))
	b.Until(t, status+`.includes("of 5,")`)
	rows(5)
	if got := b.Text(t, "#list"); strings.Contains(got, "damage") || !strings.Contains(got, "Skipped 5") {
		t.Errorf("shows %q", got)
	}
	b.TabTo(t, "clear")
	b.Run(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, status+`=== "1 to 100 of 950"`)
	b.Run(t, chromedp.Evaluate[chromedp.Void](`document.querySelector("a[data-kind=skipped]").focus()`), chromedp.KeyEvent(kb.Enter))
	is("after the row of a count", "1 to 100 of 475, filtered from 950")
	b.Quiet(t)
}

// A hundred thousand findings open and filter while somebody waits.
func TestPageWithManyFindings(t *testing.T) {
	const n = 100_000
	start := time.Now()
	path := filepath.Join(t.TempDir(), "r.html")
	f := create(t, path)
	for i := range n {
		f.Finding(Finding{
			Kind: kinds[i%len(kinds)].Kind, Side: Source, Severity: severities[i%3], Repository: fmt.Sprint("team/app-", i%1000), Tag: fmt.Sprint("v", i),
			Digest: digest.FromString(fmt.Sprint(i)), Found: "no such object", Advice: "Push the image again from where it was built.",
			Chain: []digest.Digest{digest.FromString("a"), digest.FromString("b")},
		})
		if i%10 == 0 {
			f.Repository(Repository{Name: fmt.Sprint("team/app-", i), Bytes: int64(i), Objects: 3})
		}
	}
	if err := f.Close(summary, "", nil); err != nil {
		t.Fatal(err)
	}
	made := time.Since(start)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	b := open(t, path)
	b.Until(t, status+`=== "1 to 100 of 100,000"`)
	opened := time.Since(start)
	start = time.Now()
	b.Run(t, chromedp.SendKeys(chromedp.CSS("#text"), ":v99999"))
	b.Until(t, status+`.startsWith("1 to 1 ")`)
	filtered := time.Since(start)
	again := browsertest.Eval[float64](t, b, `(() => { // what one more key takes
		 const t = performance.now(); document.getElementById("filter").requestSubmit(); return performance.now() - t })()`)
	heap := browsertest.Eval[float64](t, b, `performance.memory.usedJSHeapSize / (1 << 20)`)
	t.Logf("made in %v, %d MB; chromium started and opened it in %v, first filter %v, next %.0f ms, heap %.0f MiB",
		made.Round(time.Millisecond), info.Size()>>20, opened.Round(time.Millisecond), filtered.Round(time.Millisecond), again, heap)
	if opened > 30*time.Second || filtered > 5*time.Second || again > 500 {
		t.Error("too slow to be used")
	}
	b.Quiet(t)
}

// typical is a comparison as it is met, for people to look at.
func typical(t *testing.T) (dir string) {
	r := rand.New(rand.NewPCG(1, 2))
	var tally Tally
	var findings []Finding
	repository := func(i int) string {
		return fmt.Sprintf("%s/%s", []string{"platform", "payments", "data-science", "web", "infrastructure/observability"}[i%5],
			[]string{"gateway", "ledger", "notebook", "frontend", "prometheus", "worker", "base-image-with-a-rather-long-name", "api"}[i/5%8]+fmt.Sprint(i))
	}
	add := func(n int, f Finding) {
		for i := range n {
			f.Repository, f.Tag = repository(r.IntN(48)), ""
			f.Digest = digest.FromString(fmt.Sprint(f.Kind, i))
			f.Key = "docker/registry/v2/blobs/sha256/" + f.Digest.Encoded()[:2] + "/" + f.Digest.Encoded() + "/data"
			if f.Kind == TagIncomplete || f.Kind == TagDiffers {
				f.Tag = fmt.Sprintf("2.%d.%d", r.IntN(20), r.IntN(9))
				f.Key = "docker/registry/v2/repositories/" + f.Repository + "/_manifests/tags/" + f.Tag + "/current/link"
				f.Chain = []digest.Digest{f.Digest, digest.FromString("child")}
			}
			if f.Kind == ContentCorrupt {
				f.Found = digest.FromString("x").String()
				f.Expected = f.Digest.String()
				f.Repository = ""
			}
			findings = append(findings, f)
			tally.Add(f)
		}
	}
	add(3, Finding{Kind: ContentCorrupt, Side: Source, Severity: Damage, Advice: "Push the layer again from where it was built; nothing can repair it from here."})
	add(7, Finding{Kind: TagIncomplete, Side: Source, Severity: Damage, Found: "a layer is missing", Advice: "Push the tag again, or delete it."})
	add(2, Finding{Kind: TagDiffers, Side: Destination, Severity: Warning, Expected: digest.FromString("1").String(), Found: digest.FromString("2").String(), Advice: "Somebody pushed to the destination; find out which of the two is wanted."})
	add(40, Finding{Kind: LinkDangling, Side: Source, Severity: Notice, Advice: "Nothing to do."})
	add(210, Finding{Kind: Unreferenced, Side: Source, Severity: Notice, Advice: "The registry's garbage collection frees the room."})
	h := summary
	h.Version, h.Source, h.Destination = "v1.0.0", "file:///var/lib/registry", "s3://registry-eu/production?region=eu-central-1"
	h.Verdict, h.ExitCode = "The destination has everything that the source can serve; 7 tags are damaged at the source already, and 2 tags differ.", 3
	h.Options = []string{"--from=file:///var/lib/registry", "--level=content", "--report=audit.html", "--report=audit.json", "--to=s3://registry-eu/production?region=eu-central-1"}
	h.Finished = h.Started.Add(3*time.Hour + 12*time.Minute)
	h.Sides = []Totals{{Source, 48, 5210, 6133, 45120, 4_913_000_000_000}, {Destination, 48, 5210, 6133, 45117, 4_912_600_000_000}}
	h.Proof = []Proof{{Source, ByPresence, 45120, 4_913_000_000_000}, {Destination, ByChecksum, 45002, 4_900_000_000_000}, {Destination, ByContent, 115, 12_600_000_000}}
	h.Counts = tally.Counts()
	text := "= blobs         45,117 equal, 4.5 TiB\n= tags          5,208 equal\n* tags          2 differ\n! damage        3 blobs and 7 tags at the source\n"
	return writeAll(t, h, text, func(f *Files) {
		for _, v := range findings {
			f.Finding(v)
		}
		for i := range 48 {
			f.Repository(Repository{Name: repository(i), Bytes: int64(r.ExpFloat64() * 9e10), Objects: r.Int64N(2000), Tags: r.IntN(200), Revisions: r.IntN(300)})
		}
	})
}

// The page is looked at by a person: go test -run Screenshots -artifacts
// -outputdir DIR keeps the pictures. What a machine can tell is tested: nothing is wider than the
// window, and it prints on a few sheets.
func TestScreenshots(t *testing.T) {
	b := open(t, filepath.Join(typical(t), "r.html"))
	b.Until(t, `document.querySelectorAll(".ct-bar").length === 31`)
	if last := browsertest.Eval[string](t, b, `document.querySelector("#chart-table tr:last-child").textContent`); last != "18 others413 GiB" {
		t.Errorf("the table ends with %q", last)
	}
	// What stands at a bar is what its length says.
	type bar struct {
		Amount string
		Length float64
	}
	bars := browsertest.Eval[[]bar](t, b, `[...document.querySelectorAll(".ct-bar")].map((e, i) => ({
		Amount: document.querySelectorAll(".amount")[i].textContent, Length: e.x2.baseVal.value - e.x1.baseVal.value }))`)
	for _, x := range bars {
		gib, err := strconv.ParseFloat(strings.TrimSuffix(x.Amount, " GiB"), 64)
		first, _ := strconv.ParseFloat(strings.TrimSuffix(bars[0].Amount, " GiB"), 64)
		if want := bars[0].Length * gib / first; err != nil || math.Abs(x.Length-want) > 0.02*want+1 {
			t.Errorf("%s has a bar of %.0f pixels, want %.0f", x.Amount, x.Length, want)
		}
	}
	out := t.ArtifactDir()
	for _, c := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"phone", "light", 390}, {"phone-dark", "dark", 390}} {
		picture := b.Picture(t, c.scheme, c.width)
		if err := os.WriteFile(filepath.Join(out, c.name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.Run(t, chromedp.EmulateViewport(1280, 900))
	printed, err := chromedp.Run(b, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4), chromedp.PDFPreferCSSPageSize()))
	b.Must(t, err)
	if err := os.WriteFile(filepath.Join(out, "print.pdf"), printed, 0o644); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(printed), "%PDF") {
		t.Error("it does not print")
	}
	b.Quiet(t)
}
