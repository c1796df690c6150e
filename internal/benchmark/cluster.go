package main

import "context"

const clusterNodes = 3

// onCluster are the scenarios of a Cluster. Its nodes are processes of this machine.
func onCluster(b *bench) []scenario {
	callers := []int{8, 64, 256}
	if b.short {
		callers = []int{8, 64}
	}
	k := b.allowed()
	k.name, k.title = "cluster", "Cluster of 3 nodes: "+thousands(b.keys())+" keys of 100 a minute"
	k.note += " The CPU of Redis is that of all nodes; sent and run as one node saw it."
	all := k.scenarios(callers, []feature{cluster}, b.someRounds())
	for i := range all {
		w := all[i].work
		all[i].measuring = func(ctx context.Context, b *bench) (measuring, error) {
			s, err := b.clusterServer(ctx)
			if err != nil {
				return nil, err
			}
			return b.measuring(s, w, b.cell), nil
		}
	}
	return all
}

// clusterServer starts the Cluster when it is first needed; the run's end stops it.
func (b *bench) clusterServer(ctx context.Context) (*server, error) {
	if b.nodes != nil {
		return b.nodes, nil
	}
	s, err := startCluster(ctx, clusterNodes)
	if err != nil {
		return nil, err
	}
	b.nodes = s
	b.atEnd = append(b.atEnd, s.stop)
	return s, nil
}
