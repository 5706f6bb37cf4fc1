package world

import (
	"bytes"
	"fmt"
	"time"

	"dkv/node"
	"dkv/node/layout"
)

// Edit is a layout that the administrator wrote and no node would: it gives an epoch of a
// partition out for the second time, to another primary. Where ZooKeeper was restored from
// a backup, or a layout was written back by hand, nodes meet the same.
type Edit struct {
	Partition node.PartitionID
	Epoch     node.Epoch
	Primary   node.MemberNumber
	data      []byte
}

// EditLayout makes the administrator give the present epoch of a partition to another of
// its replicas. Nothing happens if that is its primary, or while an earlier edit stands.
func (w *World) EditLayout(p node.PartitionID, primary node.MemberNumber) {
	if w.editStands() {
		return
	}
	w.operator.ask(layoutRequest{kind: edited, partition: p, primary: primary})
}

// RepairLayout makes the administrator raise the epoch that an edit gave out twice, until
// the layout shows a greater one. Without an edit that stands nothing happens.
func (w *World) RepairLayout() {
	o := w.operator
	if o.repairing || !w.editStands() {
		return
	}
	o.repairing = true
	o.ask(layoutRequest{kind: layout.ChangePrimary, partition: o.edit.Partition, epoch: o.edit.Epoch, done: func(bool) {
		w.After(pauseOnError, func() {
			o.repairing = false
			w.RepairLayout()
		})
	}})
}

// EndEdits makes the administrator edit the layout no more, and repair it. A set whose
// answer was lost may take effect late, so the layout is looked at until the run ends.
func (w *World) EndEdits() {
	o := w.operator
	o.noEdits = true
	if o.edit.data != nil {
		w.RepairLayout()
		w.After(time.Second, w.EndEdits)
	}
}

// EditOf returns the edit that has this encoding, if it is the last one.
func (w *World) EditOf(data []byte) (e Edit, ok bool) {
	e = w.operator.edit
	return e, e.data != nil && bytes.Equal(e.data, data)
}

// editStands reports whether the layout has, or may yet get, an epoch that was given out
// twice as its newest.
func (w *World) editStands() bool {
	e, l := w.operator.edit, w.Layout()
	if e.data == nil || l == nil {
		return false
	}
	now, ok := l.Partition(e.Partition)
	return ok && now.Epoch == e.Epoch
}

// editPrimary returns the encoding of the layout that follows l, in which another replica
// is the primary of a partition's epoch; nil if there is no such layout.
func editPrimary(l *layout.Layout, p node.PartitionID, primary node.MemberNumber) []byte {
	was, _ := l.Partition(p)
	data, err := l.Encode()
	if err != nil || primary == was.Primary || !layout.Contains(was.Replicas, primary) {
		return nil
	}
	version := func(v int32) []byte { return fmt.Appendf(nil, `,"version":%d,`, v) }
	data = bytes.Replace(data, version(l.Version()), version(l.Version()+1), 1)
	begin := bytes.Index(data, []byte(`"partitions":[`))
	for range p + 1 { // each begins with its epoch
		begin += 1 + bytes.Index(data[begin+1:], []byte(`{"e":`))
	}
	leads := func(m node.MemberNumber) []byte { return fmt.Appendf(nil, `{"e":%d,"p":%d,`, was.Epoch, m) }
	changed := append(bytes.Clone(data[:begin]), bytes.Replace(data[begin:], leads(was.Primary), leads(primary), 1)...)
	if _, err := layout.Decode(changed); err != nil {
		return nil
	}
	return changed
}
