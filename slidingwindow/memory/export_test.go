package memory

// Keys is how many keys the store remembers.
func (s *Store) Keys() int {
	keys := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		keys += len(s.shards[i].subjects)
		s.shards[i].mu.Unlock()
	}
	return keys
}

// Entries is how many log entries it has room for.
func (s *Store) Entries() int {
	entries := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		for _, subj := range s.shards[i].subjects {
			for _, log := range subj.logs {
				entries += len(log.ring)
			}
		}
		s.shards[i].mu.Unlock()
	}
	return entries
}
