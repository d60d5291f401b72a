use std::borrow::Cow;
use std::sync::Arc;

use codec_mqtt::{PublishHead, encode_publish_head, publish_len};
use core_model::{Delivery, Message, MessageRef, Operation, Outcome, QoS, Reason, StoredMessage};
use gateway_host::Context;

use crate::{
    LAYOUT_V5,
    aliases::TopicForm,
    client::{Client, SLOT},
    mapping,
};

/// What of a larger scratch buffer is kept after use.
const SCRATCH_BYTES_MAX: usize = 4096;

impl Client {
    /// Writes the PUBLISH of a delivery.
    #[inline]
    pub(crate) fn on_deliver(
        &mut self,
        delivery: &Delivery<'_>,
        context: &mut Context<'static, '_>,
    ) {
        let is_written = match &delivery.message {
            MessageRef::View(view) => self.write_publish(delivery, view, None, context),
            MessageRef::Stored(stored) => {
                self.write_publish(delivery, &stored.view(), Some(stored), context)
            }
            MessageRef::Owned(stored) => {
                self.write_publish(delivery, &stored.view(), Some(stored), context)
            }
        };
        if !is_written && delivery.qos != QoS::AtMostOnce {
            //= mqtt5:3.1.2-25
            let outcome = Outcome::Discarded(Reason::PACKET_TOO_LARGE);
            let settle = Operation::Settle { handle: delivery.handle, outcome };
            context.operation(SLOT, settle);
        }
    }

    /// Whether the message was written; it is not when it is too large for the client.
    #[inline]
    fn write_publish(
        &mut self,
        delivery: &Delivery<'_>,
        message: &Message<'_>,
        stored: Option<&Arc<StoredMessage>>,
        context: &mut Context<'static, '_>,
    ) -> bool {
        let Client { version, max_packet_size, scratch, aliases_out, .. } = self;
        let (version, size_max) = (*version, *max_packet_size);
        let topic = message.topic.get(usize::from(delivery.topic_skip)..).unwrap_or("");
        let shared = match version.is_v5() {
            true => shared_properties(message, stored, scratch),
            false => Cow::Borrowed(&[][..]),
        };
        //= mqtt5:3.1.2-27
        let form = match aliases_out {
            Some(aliases) => aliases.form(topic),
            None => TopicForm::Full,
        };
        let head = head(delivery, message, topic, form, context);
        let payload = message.payload;
        //= mqtt5:3.1.2-24
        let fits = size_max == u32::MAX
            || publish_len(&head, version, shared.len(), payload.len())
                .is_ok_and(|len| len <= size_max as usize);
        let is_written = fits
            && context.output().write_with(|out| {
                let result = encode_publish_head(&head, version, &shared, payload.len(), out);
                if result.is_ok() && stored.is_none() {
                    out.extend_from_slice(payload);
                }
                result.is_ok()
            });
        drop(shared);
        if is_written {
            if let Some(stored) = stored {
                context.output().write_payload(stored);
            }
            //= mqtt5:3.3.2-7
            if let Some(aliases) = aliases_out {
                aliases.commit(form, topic);
            }
        }
        if !scratch.is_empty() {
            scratch.clear();
            scratch.shrink_to(SCRATCH_BYTES_MAX);
        }
        is_written
    }
}

/// What differs between the receivers.
#[inline]
fn head<'h>(
    delivery: &'h Delivery<'_>,
    message: &Message<'_>,
    topic: &'h str,
    form: TopicForm,
    context: &Context<'static, '_>,
) -> PublishHead<'h> {
    let (topic, topic_alias) = match form {
        TopicForm::Full => (topic, None),
        TopicForm::Set(alias) => (topic, Some(alias)),
        TopicForm::Alias(alias) => ("", Some(alias)),
    };
    PublishHead {
        //= mqtt5:3.3.1-1
        //= mqtt5:3.3.1-3
        //= mqtt311:3.3.1-1
        //= mqtt311:3.3.1-3
        dup: delivery.dup,
        qos: mapping::qos_out(delivery.qos),
        retain: delivery.retain,
        topic,
        packet_id: delivery.handle,
        topic_alias,
        //= mqtt5:3.3.2-6
        message_expiry_s: message.remaining_expiry_s(context.now),
        //= mqtt5:3.3.4-3
        //= mqtt5:3.3.4-4
        //= mqtt5:3.3.4-5
        subscription_ids: &delivery.subscription_ids,
    }
}

/// The properties that are the same for every receiver: as received, or encoded once and kept with
/// the message, or encoded into `scratch`.
#[inline]
fn shared_properties<'m>(
    message: &'m Message<'_>,
    stored: Option<&'m Arc<StoredMessage>>,
    scratch: &'m mut Vec<u8>,
) -> Cow<'m, [u8]> {
    match (message.wire, stored) {
        (Some((LAYOUT_V5, bytes)), _) => Cow::Borrowed(bytes),
        _ if message.properties.is_empty() => Cow::Borrowed(&[]),
        (_, Some(stored)) => stored.encoded(LAYOUT_V5, |message| {
            let mut bytes = Vec::new();
            mapping::encode_properties(message, &mut bytes);
            bytes
        }),
        (_, None) => {
            mapping::encode_properties(message, scratch);
            Cow::Borrowed(scratch)
        }
    }
}
