package filesystem

// WithoutOpenat2 makes r resolve paths as it does where a container's system
// call filter refuses openat2.
func (r *Reader) WithoutOpenat2() { r.tree.openat2 = false }
