// Package etcd reads the histories that etcd's robustness tests write.
package etcd
