package backendtest

import (
	"testing"
	"time"
)

// violations are the bugs of the model, one at a time, and the cases that
// must catch each.
var violations = []struct {
	bug   string
	cases []string
}{
	{"location changes", []string{"Location is printable and the same for every client"}},
	{"lists a walk", []string{"L1 keys come in byte order of the whole key"}},
	{"one page only", []string{"L1 many objects come whole, page after page"}},
	{"drops what is written meanwhile", []string{"L1 listing while objects are written"}},
	{"after is inclusive", []string{"L2 after is exclusive and need not exist"}},
	{"after must exist", []string{"L2 after is exclusive and need not exist"}},
	{"swallows the listing's error", []string{"L3 a cancelled listing is an error"}},
	{"lists another size", []string{"L4 a listed size is that of the object or -1"}},
	{"a directory is a prefix", []string{"L6 prefix is a string and not a directory", "L2 after is exclusive and need not exist"}},
	{"cleans prefixes", []string{"L6 a hostile prefix lists nothing else"}},
	{"leaks when broken off", []string{"L7 breaking off a listing frees what it held"}},
	{"absent is unknown", []string{"R1 an absent key is fs.ErrNotExist"}},
	{"an unclassified error", []string{"R1 an absent key is fs.ErrNotExist", "Keys that are hostile are refused or kept, never moved"}},
	{"an offset too small", []string{"R2 Open from any offset up to the size"}},
	{"any offset will do", []string{"R2 Open beyond the size or before 0 is an error"}},
	{"a short body ends well", []string{"R3 a body cut short is an error"}},
	{"overwrites in place", []string{"R3 an object overwritten while it is read", "P9 puts of one key at once leave one whole object"}},
	{"a body ignores its context", []string{"R4 cancelling ends the reading of a body"}},
	{"ignores a cancelled context", []string{"R4 a cancelled context reads nothing"}},
	{"shows an object before its end", []string{"P1 nothing shows before Put returns", "P9 puts of one key at once leave one whole object"}},
	{"shows half an object to everybody", []string{"P1 nothing shows before Put returns", "P4 a failing source stores nothing", "P6 cancelled at any byte", "P6 cancelled while the source blocks"}},
	{"seen by its own client only", []string{"P2 what was put is there for another client", "P2 sizes around that of a part"}},
	{"returns another object", []string{"P2 what was put is there for another client"}},
	{"loses the last byte of a part", []string{"P2 sizes around that of a part"}},
	{"stores short content", []string{"P3 a source of another length stores nothing"}},
	{"stores long content", []string{"P3 a source of another length stores nothing"}},
	{"does not look behind the last byte", []string{"P3 a source of another length stores nothing", "P4 a failing source stores nothing"}},
	{"removes the old object", []string{"P3 a source of another length stores nothing", "P4 a failing source stores nothing", "P6 cancelled before it begins"}},
	{"stores what came before an error", []string{"P4 a failing source stores nothing"}},
	{"drops the source's error", []string{"P4 a failing source stores nothing"}},
	{"calls every error transient", []string{"P4 the source's error keeps its class"}},
	{"calls a wrong digest transient", []string{"P5 a wrong digest is Corrupt or not looked at"}},
	{"leaves its temporary files", []string{"P3 a source of another length stores nothing", "P6 cancelled at any byte"}},
	{"does not look at its context", []string{"P6 cancelled before it begins", "P6 cancelled at any byte"}},
	{"leaks when cancelled", []string{"P6 cancelled at any byte", "P6 cancelled while the source blocks"}},
	{"opens the source without its context", []string{"P6 cancelled while the source blocks"}},
	{"refuses empty objects", []string{"P7 size 0 works"}},
	{"holds all in memory", []string{"P8 a large object in bounded memory"}},
	{"reads all at once", []string{"P8 a large object in bounded memory"}},
	{"does not close readers", []string{"P10 readers that trickle are read to their end"}},
	{"reads after closing", []string{"P10 readers that trickle are read to their end"}},
	{"opens two readers at once", []string{"P10 readers that trickle are read to their end"}},
	{"takes an empty read for the end", []string{"P10 readers that trickle are read to their end"}},
	{"drops bytes that come with the end", []string{"P10 readers that trickle are read to their end"}},
	{"folds case", []string{"Keys with odd names are kept as they are"}},
	{"cleans keys", []string{"Keys that are hostile are refused or kept, never moved"}},
	{"a key under a key", []string{"Keys in each other's way"}},
	{"keeps names that are too long", []string{"Keys with long names"}},
	{"sync forgets one of many", []string{"Sync makes visible all that was put before"}},
	{"sync loses a neighbour", []string{"Sync makes visible all that was put before", "Sync beside writers loses nothing"}},
	{"keeps the earlier of two", []string{"Sync keeps the later of two Puts"}},
	{"sync claims success", []string{"Sync that was cancelled does not claim success"}},
	{"never resumes", []string{"Resume goes on from what was saved"}},
	{"saves an offset before its bytes", []string{"Resume goes on from what was saved"}},
	{"resumes at the end of the file", []string{"Resume from an earlier state than the last"}},
	{"forgets its uploads when a source fails", []string{"Resume after a failing source"}},
	{"trusts any token", []string{"Resume with a token of nobody starts at 0"}},
	{"ignores the error of Saved", []string{"Resume ends when Saved fails"}},
	{"has lost the power to delete", []string{"Powers to delete and to replace are those of the harness"}},
	{"has lost the power to replace", []string{"Powers to delete and to replace are those of the harness"}},
	{"absent is no success", []string{"D1 deleting what is absent is no error"}},
	{"deletes for its own client", []string{"D2 what was deleted is absent for another client"}},
	{"deletes what is shown only", []string{"D2 what was put and not synced is deleted as well"}},
	{"deletes a prefix", []string{"D3 keys beside the one that is deleted stay", "D1 deleting what is absent is no error"}},
	{"cleans keys that it deletes", []string{"D3 a hostile key deletes nothing"}},
	{"deletes a name and leaves the bytes", []string{"D4 a large object is deleted wholly", "D5 a deletion that is cancelled leaves nothing half"}},
	{"deletes when cancelled", []string{"D5 a deletion that is cancelled leaves nothing half"}},
	{"deletes what lies beside it", []string{"D6 what is put beside a deletion is there afterwards", "D3 keys beside the one that is deleted stay"}},
	{"leaves directories", []string{"D7 no directory is seen without a file"}},
	{"replaces whatever is there", []string{"C1 of no version it is written only where nothing is", "C2 it is replaced only with its version", "C4 with a stale version nothing is written"}},
	{"any version will do", []string{"C2 it is replaced only with its version", "C4 with a stale version nothing is written"}},
	{"writes before it compares", []string{"C4 with a stale version nothing is written"}},
	{"compares, then writes", []string{"C3 of eight with one version one has written"}},
	{"absent is unknown", []string{"C5 Get of what is absent is fs.ErrNotExist"}},
	{"takes large objects for small", []string{"C large objects are refused"}},
	{"replaces when cancelled", []string{"C a cancelled call writes nothing"}},
	{"does not ask whether conditions are kept", []string{"C a service that ignores conditions is found out"}},
	{"cleans all scratch", []string{"Keys beside the registry's outlive Clean"}},
	{"leaves what it tried", []string{"Try says that it works and leaves nothing"}},
}

func TestEveryViolationIsCaught(t *testing.T) {
	caught := map[string]bool{}
	for _, v := range violations {
		t.Run(v.bug, func(t *testing.T) {
			h := modelHarness(v.bug)
			if v.bug == "opens the source without its context" {
				h.Patience = 200 * time.Millisecond
			}
			for _, name := range v.cases {
				c, ok := caseNamed(name)
				if !ok {
					t.Fatalf("no case %q", name)
				}
				lines := failed(t, func(tb testing.TB) { c.try(tb, t, h) })
				if lines == nil {
					t.Errorf("not caught by %q", name)
					continue
				}
				caught[name] = true
				t.Logf("%s: %.300s", name, lines[0])
			}
		})
	}
	for _, c := range cases() {
		if !caught[c.name] {
			t.Errorf("nothing has made %q fail", c.name)
		}
	}
}

func TestViolatesMustFail(t *testing.T) {
	h := modelHarness("lists a walk")
	h.Violates = map[string]string{"L1 keys come in byte order of the whole key": "it walks"}
	c, _ := caseNamed("L1 keys come in byte order of the whole key")
	if failed(t, func(tb testing.TB) { c.try(tb, t, h) }) == nil {
		t.Error("the case passes")
	}
	// A recorder keeps the failure to itself, and ends the case at FailNow.
	after := false
	if failed(t, func(tb testing.TB) { tb.Fatal("x"); after = true }) == nil || after {
		t.Error("Fatal does not end the case")
	}
	if failed(t, func(tb testing.TB) { tb.Log("x") }) != nil {
		t.Error("a line in the log is a failure")
	}
}
