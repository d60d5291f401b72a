use core_model::{Evidence, Principal};

/// What a client fills in for a placeholder: `%c`, `%u`, `%l`, `%cn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placeholder {
    /// `%c`
    ClientId,
    /// `%u`
    User,
    /// `%l`
    Listener,
    /// `%cn`, where no letter or digit follows.
    CommonName,
}

/// The values of one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    client_id: &'a str,
    user: Option<&'a str>,
    listener: &'a str,
    common_name: Option<&'a str>,
}

impl<'a> Values<'a> {
    /// Those of a connected client.
    pub(crate) fn of(client: &'a Principal) -> Self {
        let certificate = client.transport.as_ref().and_then(|facts| facts.certificate.as_ref());
        Values {
            client_id: &client.client.client_id,
            user: client.identity.user.as_deref(),
            listener: &client.listener,
            common_name: certificate.and_then(|certificate| certificate.common_name.as_deref()),
        }
    }

    /// Those of a client that is not believed yet; the user is the one that it claims to be.
    pub(crate) fn claimed(client_id: &'a str, evidence: &'a Evidence) -> Self {
        let certificate = evidence.certificate();
        Values {
            client_id,
            user: evidence.user.as_deref(),
            listener: &evidence.listener,
            common_name: certificate.and_then(|certificate| certificate.common_name.as_deref()),
        }
    }

    /// The value for a placeholder; never an empty one.
    pub(crate) fn value(&self, placeholder: Placeholder) -> Option<&'a str> {
        let value = match placeholder {
            Placeholder::ClientId => Some(self.client_id),
            Placeholder::User => self.user,
            Placeholder::Listener => Some(self.listener),
            Placeholder::CommonName => self.common_name,
        };
        value.filter(|value| !value.is_empty())
    }
}

impl Placeholder {
    /// The placeholder at the start of `text`, which begins behind a `%`, and its length.
    fn at(text: &str) -> Option<(Self, usize)> {
        let mut letters = text.chars();
        match letters.next()? {
            'c' => {
                // `%cnode` is a client identifier and "node".
                let name = letters.next() == Some('n')
                    && !letters.next().is_some_and(char::is_alphanumeric);
                Some(if name { (Placeholder::CommonName, 2) } else { (Placeholder::ClientId, 1) })
            }
            'u' => Some((Placeholder::User, 1)),
            'l' => Some((Placeholder::Listener, 1)),
            _ => None,
        }
    }
}

/// `text` with its placeholders replaced, once each; `None` as soon as one has no value.
pub(crate) fn fill<'v>(
    text: &str,
    mut value: impl FnMut(Placeholder) -> Option<&'v str>,
) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        filled.push_str(before);
        match Placeholder::at(behind) {
            Some((placeholder, length)) => {
                filled.push_str(value(placeholder)?);
                rest = behind.get(length..).unwrap_or("");
            }
            None => {
                filled.push('%');
                rest = behind;
            }
        }
    }
    filled.push_str(rest);
    Some(filled)
}
