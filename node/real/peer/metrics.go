package peer

import (
	"dkv/node/real/metrics"
)

// Register adds the metrics of the network.
func (n *Network) Register(m *metrics.Registry) {
	c := &n.counts
	m.Counter("dkv_peer_frames_sent_total", "Frames written to peers.", c.framesSent.Load)
	m.Counter("dkv_peer_bytes_sent_total", "Bytes written to peers.", c.bytesSent.Load)
	m.Counter("dkv_peer_frames_received_total", "Frames read from peers.", c.framesReceived.Load)
	m.Counter("dkv_peer_bytes_received_total", "Bytes read from peers.", c.bytesReceived.Load)
	m.Counter("dkv_peer_frames_dropped_total", "Frames dropped because the queue of a peer was full or the peer unreachable.", c.framesDropped.Load)
	m.Counter("dkv_peer_frames_refused_total", "Frames that were truncated, too long, unknown or corrupt; each closed its connection.", c.framesRefused.Load)
	m.Counter("dkv_peer_hellos_refused_total", "Connections on which one side refused the other's introduction.", c.hellosRefused.Load)
	m.Counter("dkv_peer_connections_total", "Connections opened to peers.", c.connected.Load)
	m.Counter("dkv_peer_connections_lost_total", "Connections to peers that broke.", c.lost.Load)
	m.Counter("dkv_peer_inbound_refused_total", "Connections from peers that were closed because there were too many.", c.inboundRefused.Load)
}
