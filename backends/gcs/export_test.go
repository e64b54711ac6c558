package gcs

// Forget has the store ask for its bucket again when an object is missing.
func (r *Reader) Forget() { r.seen.Store(0) }
