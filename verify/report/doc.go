// Package report holds what regferry finds and how it is written down: one
// closed vocabulary of findings, one head, and files that appear whole or not
// at all.
//
// A run tells its findings once. They are spooled to disk in files without a
// name, so that memory does not grow and a killed run leaves nothing; when the
// run is over, every format is made from the spool, under a temporary name,
// and renamed. Only .jsonl is written while the run goes on, as
// NAME.jsonl.partial, since its purpose is to be followed and to be there
// after a kill.
//
// Formats are chosen by suffix:
//
//	.txt    what the terminal shows, and every finding
//	.json   one document, described by schema.json
//	.jsonl  one object a line: head, findings as they come, the head again at the end
//	.html   one page for a browser, without any request to a network
//	.xml    JUnit, for pipelines: damage and warnings are failed tests
//
// Names come from whoever may push to the registry. So text is quoted where it
// would move a cursor or turn the direction of writing, the page is made by
// html/template and by textContent, and its Content-Security-Policy allows no
// script but those that are part of this package.
//
// Rejected: a report that loads its chart library or its data from somewhere
// (it has to open on a machine without a network, years later), a table of
// 100,000 rows (no browser scrolls it; pages of 100 do), and a database file
// (nobody signs one).
package report
