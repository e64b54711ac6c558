// Package meter counts, for Prometheus, what a mirror asks of its stores and
// what it says of itself.
//
//	m := meter.New()
//	src, dst := m.Read(src, "eu", backends.Source), m.Write(dst, "eu", backends.Destination)
//	registry := meter.Registry(m, status) // for /metrics
//
// # The metrics
//
// A line is: name, type, labels, meaning. Besides these there are go_* and
// process_*, as every Go program has them.
//
//	regferry_build_info gauge version,goversion: 1
//	regferry_lag_seconds gauge pair: since when the destination may lack something, the begin of the last complete round, or while there is none of the first that went to its end; absent before
//	regferry_last_complete_round_timestamp_seconds gauge pair: when that round ended; absent before the first
//	regferry_overdue gauge pair: 1 while no round went to its end, whatever it left undone, for longer than it may take; also before the first
//	regferry_leader gauge pair: 1 while this process holds the lease of the destination and so may write it
//	regferry_standby gauge pair: 1 while another mirror holds the lease
//	regferry_backing_off gauge pair: 1 while a side fails and rounds are later than usual
//	regferry_stopped gauge pair: 1 once the mirror stopped for good: somebody else writes the destination, or it was finished
//	regferry_round_running gauge pair: 1 while a round is under way
//	regferry_round_start_timestamp_seconds gauge pair: when the round under way began; absent between rounds
//	regferry_rounds_total counter pair,kind,result: rounds that ended; kind full, tags or hint; result complete, incomplete (something was left undone) or failed (ended early)
//	regferry_round_duration_seconds gauge pair,kind: how long the last round of the kind took
//	regferry_objects_total counter pair,phase,result: objects, counted when their round ends; blobs, links and tags written, proofs proved, deletions deleted, all undone, all damaged (at the source)
//	regferry_bytes_total counter pair,phase,result: bytes of the blobs written, counted when their round ends
//	regferry_undone_objects gauge pair: objects that the last round of any kind left undone; absent before the first
//	regferry_source_damage gauge pair: damage at the source in the last full round that went to its end; absent before the first
//	regferry_repositories_behind gauge pair: repositories that the last round could not bring up to date, at most 100
//	regferry_hints_queued gauge pair: repositories that a notification named and that wait
//	regferry_hints_dropped_total counter pair: notifications for which there was no room; the next round has what they named
//	regferry_deletions_planned gauge pair: objects of the destination that the source did not have in the last complete full round; absent before the first
//	regferry_deletions_refused gauge pair: objects in the plan that a guard refused and that waits for an approval, 0 for none
//	regferry_deletions_done_total counter pair: objects deleted at the destination
//	regferry_store_requests_total counter pair,side,op,class: operations by how they ended: ok, a class of error, or aborted (cancelled, or the other side failed meanwhile); read counts only bodies that ended early
//	regferry_store_requests_in_flight gauge pair,side: operations under way; a body until it is closed
//	regferry_store_listed_objects_total counter pair,side: objects that listings named
//	regferry_store_read_bytes_total counter pair,side: bytes read
//	regferry_store_written_bytes_total counter pair,side: bytes handed to Put, those of failed attempts too
//	regferry_store_copied_bytes_total counter pair,side: bytes that the service copied by itself
//	regferry_retries_total counter pair,side,class: objects tried again
//
// op is list, stat, open, read, put, delete, get, put if, sync, space, clean,
// copy, digest, place, try or cautions. class is ok, aborted or a [backends.Class] in its own words; "not
// found" is what an ordinary question is answered with, not a fault.
//
// # Decisions
//
// No label holds a name from a store, which would make a series of each
// repository. Which one is behind, /status and the page say.
//
// An operation is one call of the contract of a store. Requests of the SDKs
// below it, such as the pages of a listing or the parts of an upload, are not
// seen here. Counting them by a http.RoundTripper was rejected: file systems
// have none, and each SDK takes one in another way.
//
// What rounds did is summed up from the rounds in the status, each when it is
// first seen, so that the mirror has one record of itself and not two. If more
// than mirror.MaxRounds end between two scrapes, those in excess are not
// counted.
//
// A figure that is not known yet is absent rather than 0 or -1: a lag of -1
// passes every alert.
//
// # Bounds
//
// About 30 series a pair, and 20 operations with the classes that they met for each side.
package meter
