use codec_mqttsn::{Encapsulation, Frame, Packet, encode};
use core_model::{Operation, Reason, Timestamp};
use gateway_host::{Close, Context, Sender};

/// One client's door to its link: says its operations by its slot's number, and wraps what it is
/// sent where a forwarder stands in between.
#[derive(Debug)]
pub(crate) struct Door<'x, 'a, 'c> {
    /// The client's number on the link.
    slot: u32,
    /// The wireless node that the client is, where the link is a forwarder's.
    node: Option<&'x [u8]>,
    /// Greatest packet in bytes, a forwarder's wrapping not included.
    max_packet_size: u16,
    context: &'x mut Context<'a, 'c>,
}

impl<'x, 'a, 'c> Door<'x, 'a, 'c> {
    /// The door of slot `slot`, which is the node `node` if the link is a forwarder's.
    pub(crate) fn new(
        slot: u32,
        node: Option<&'x [u8]>,
        max_packet_size: u16,
        context: &'x mut Context<'a, 'c>,
    ) -> Self {
        Door { slot, node, max_packet_size, context }
    }

    /// The time of this turn.
    pub(crate) fn now(&self) -> Timestamp {
        self.context.now
    }

    /// Whether the client is behind a forwarder.
    pub(crate) fn is_relayed(&self) -> bool {
        self.node.is_some()
    }

    /// Sends a packet to the client; `false` if it is too long for that, and nothing is sent.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> bool {
        //= mqttsn:GW-SN-32
        let encapsulation = self.node.map(|node_id| Encapsulation { radius: 0, node_id });
        let frame = Frame { encapsulation, packet: *packet };
        let max = usize::from(self.max_packet_size)
            + encapsulation.map_or(0, |wrapped| wrapping_bytes(&wrapped));
        self.context.output().frame_with(|out| {
            let start = out.len();
            if encode(&frame, out).is_err() {
                return false;
            }
            let fits = out.len() - start <= max;
            if !fits {
                out.truncate(start);
            }
            fits
        })
    }

    /// Asks the core for the client.
    pub(crate) fn operation(&mut self, operation: Operation<'a>) {
        self.context.operation(self.slot, operation);
    }

    /// Where the datagram at hand comes from; `None` outside of input.
    pub(crate) fn sender(&self) -> Option<Sender> {
        self.context.sender()
    }

    /// Lets the client move to the address that the datagram at hand comes from. Whether it is there
    /// now.
    pub(crate) fn adopt_path(&mut self) -> bool {
        self.context.adopt_path()
    }

    /// Ends the link after what was sent, if it is the client's alone. Those of others behind the
    /// same forwarder go on. The client says by `is_gone` that it is forgotten in either case.
    pub(crate) fn leave(&mut self, reason: Reason) {
        if !self.is_relayed() {
            self.context.close(Close::Flush(reason));
        }
    }
}

/// Bytes that a forwarder's wrapping takes: Length, MsgType, Ctrl and the node's id.
fn wrapping_bytes(encapsulation: &Encapsulation<'_>) -> usize {
    3 + encapsulation.node_id.len()
}
