package filesystem

// FailSyncfs makes every further syncfs of s fail, as a dying disk would.
func (s *Store) FailSyncfs(err error) { s.queue.syncfs = func() error { return err } }

// GroupObjects is how many objects become visible together.
const GroupObjects = groupObjects

// BlockSyncfs makes every further syncfs of s wait until release is closed.
func (s *Store) BlockSyncfs(release chan struct{}) {
	s.queue.syncfs = func() error { <-release; return nil }
}
