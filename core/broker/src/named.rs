use std::borrow::Borrow;
use std::cmp::Ordering;

use core_model::{ClientKey, GatewayId};

/// What a session is known by. Lets a map by [`ClientKey`] be asked without one, which would have to
/// be allocated.
pub(crate) trait Named {
    fn name(&self) -> (GatewayId, &str);
}

impl Named for ClientKey {
    fn name(&self) -> (GatewayId, &str) {
        (self.gateway, &self.client_id)
    }
}

impl Named for (GatewayId, &str) {
    fn name(&self) -> (GatewayId, &str) {
        *self
    }
}

impl<'n> Borrow<dyn Named + 'n> for ClientKey {
    fn borrow(&self) -> &(dyn Named + 'n) {
        self
    }
}

// As the key itself is ordered, or a map would not find it.
impl Ord for dyn Named + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(&other.name())
    }
}

impl PartialOrd for dyn Named + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Named + '_ {}
