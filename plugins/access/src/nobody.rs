use core_model::{Authenticator, Evidence, Exchange, Reason, Step, Verdict};

/// Believes nobody: the end of a chain behind which no client gets in, not even an anonymous one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Authenticator for Nobody {
    fn authenticate(&self, _client_id: &str, evidence: &Evidence) -> Verdict {
        let has_credentials = evidence.user.is_some() || evidence.password.is_some();
        Verdict::Refuse(match has_credentials {
            true => Reason::BAD_CREDENTIALS,
            false => Reason::NOT_AUTHORIZED,
        })
    }
}

/// An enhanced authentication that ends before it begins: for authenticators that refuse a client
/// whatever it could prove to those behind them.
pub(crate) struct Refusal(pub(crate) Reason);

impl Exchange for Refusal {
    fn step(&mut self, _data: &[u8]) -> Step {
        Step::Refuse(self.0)
    }
}
