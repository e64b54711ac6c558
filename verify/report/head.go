package report

import "time"

// Head is what a report says before its findings. Nothing in it is secret.
type Head struct {
	Program     string    `json:"program"` // regferry
	Version     string    `json:"version"`
	Command     string    `json:"command"`           // migrate, verify or inspect
	Options     []string  `json:"options,omitempty"` // as they were given, without secrets
	Root        string    `json:"root"`              // of the registry below a location
	Source      string    `json:"source,omitempty"`  // also the only side of an audit
	Destination string    `json:"destination,omitempty"`
	Started     time.Time `json:"started"`
	Finished    time.Time `json:"finished,omitzero"`
	Complete    bool      `json:"complete"` // it looked at everything: else the report is partial
	Metadata    string    `json:"metadata"` // where the tags are kept: storage or database
	Verdict     string    `json:"verdict"`  // one sentence, to be read aloud
	ExitCode    int       `json:"exit_code"`
	Error       string    `json:"error,omitempty"` // what ended it early
	ErrorClass  string    `json:"error_class,omitempty"`
	Sides       []Totals  `json:"sides,omitempty"`
	Proof       []Proof   `json:"proof,omitempty"`
	Counts      []Count   `json:"counts,omitempty"` // of findings
}

// Totals is what one side holds.
type Totals struct {
	Side         Side  `json:"side"`
	Repositories int64 `json:"repositories"`
	Tags         int64 `json:"tags"`
	Revisions    int64 `json:"revisions"`
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"` // of the blobs
}

// Proof says of how many blobs it is known in which way that they are right.
type Proof struct {
	Side  Side   `json:"side"`
	How   string `json:"how"` // one of the words below
	Blobs int64  `json:"blobs"`
	Bytes int64  `json:"bytes,omitempty"` // 0 where only the blobs were counted
}

// The words of Proof.How.
const (
	ByContent  = "content"  // read and hashed in this run
	ByChecksum = "checksum" // by what the service itself stores or computed
	ByEarlier  = "earlier"  // by an earlier run of the same command, as its checkpoint says
	ByPresence = "presence" // it is there with the right size; its bytes were not looked at
)

// Count says how many findings of a kind there are, kept or not.
type Count struct {
	Kind     Kind     `json:"kind"`
	Side     Side     `json:"side"`
	Severity Severity `json:"severity"`
	Findings int64    `json:"findings"`
}
