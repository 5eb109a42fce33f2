package control

import (
	"context"
	"net/http"

	p2psync "github.com/p2p-today/go2p/sync"
)

// syncRoutes answer for what only the dictionary has.
type syncRoutes struct{ store *syncStore }

func (s *syncRoutes) add(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathSyncStatus, answer(s.status))
	mux.HandleFunc("POST "+PathSyncLease, answer(s.lease))
}

func (s *syncRoutes) status(context.Context, struct{}) (SyncStatus, error) {
	return s.store.status(), nil
}

func (s *syncRoutes) lease(ctx context.Context, q KeyRequest) (Lease, error) {
	key := string(q.Key)
	l, err := found(ctx, s.store, func() (p2psync.Lease, error) { return s.store.dict.Lease(key) })
	return toLease(key, l), err
}
