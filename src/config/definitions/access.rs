use crate::settings::{ByName, FilePath, Lapse, List, Net, Never, OneOrMore, Required, Unset};
use crate::{choice, kinds, settings};

kinds! {
    /// A way to find out who a client is.
    pub enum Authentication {
        /// A file of users.
        File(FileUsers) = "file",
        /// The TLS client certificate.
        Certificate(CertificateUsers) = "certificate",
        /// A JSON Web Token.
        Jwt(JwtUsers) = "jwt",
        /// An HTTP server.
        Http(HttpUsers) = "http",
        /// SCRAM-SHA-256.
        Scram(ScramUsers) = "scram",
        /// A list of client ids.
        ClientIds(ClientIds) = "client-ids",
    }
}

settings! {
    /// User name and password, judged by a file of users. `manifold users` writes such files and
    /// imports those of other servers.
    pub struct FileUsers {
        /// The file. It is read again at a reload.
        path: Required<FilePath> = Required::default();
        /// What a client is looked up by: its user name, or its client id.
        user_from: UserFrom = UserFrom::User;
        /// What becomes of a client that is not in the file: the next authentication is asked, or
        /// it is refused.
        unknown_user: UnknownUser = UnknownUser::Next;
    }
}

choice! {
    /// What a client is looked up by.
    pub enum UserFrom {
        /// The user name that it sends.
        User = "user",
        /// Its client id.
        ClientId = "client-id",
    }
}

choice! {
    /// What becomes of a client that is not in a file of users.
    pub enum UnknownUser {
        /// The next authentication is asked.
        Next = "next",
        /// It is refused.
        Refuse = "refuse",
    }
}

settings! {
    /// The client's certificate, which the listener's TLS has verified or a trusted proxy reports: no
    /// password is needed. A client without one is left to the next.
    pub struct CertificateUsers {
        /// The field that becomes the user name, whatever the client sends itself.
        user: CertificateField = CertificateField::CommonName;
        /// User names that are let in, others being refused; `*` stands for any characters. Empty
        /// for all.
        allow: List<String> = List::default();
        /// The field that the client id has to be.
        client_id: Unset<CertificateField> = Unset(None);
        /// Whether a certificate counts that a trusted proxy reports, which says no more than the
        /// common name.
        from_proxy: bool = true;
    }
}

choice! {
    /// A field of a client's certificate.
    pub enum CertificateField {
        /// Common name of the subject.
        CommonName = "common-name",
        /// The whole subject (RFC 4514).
        Subject = "subject",
        /// Serial number in lower-case hexadecimal.
        Serial = "serial",
        /// SHA-256 of the certificate in lower-case hexadecimal.
        Fingerprint = "fingerprint",
        /// First alternative name that is a host name.
        Dns = "dns",
        /// First alternative name that is a mail address.
        Email = "email",
        /// First alternative name that is a URI.
        Uri = "uri",
    }
}

settings! {
    /// A JSON Web Token. Its signature, its times and claims are checked, and the client is
    /// disconnected when it expires. Exactly one of `secret_file`, `public_key_file`, `jwks_file`
    /// and `jwks_url` has to be set.
    pub struct JwtUsers {
        /// Where the client sends the token.
        from: TokenFrom = TokenFrom::Password;
        /// Algorithms that are accepted; all must fit the kind of key.
        algorithms: Required<Vec<JwtAlgorithm>> = Required::default();
        /// A file with the secret of HMAC algorithms, of 32 bytes or more. Only the server should be
        /// able to read it.
        secret_file: Unset<FilePath> = Unset(None);
        /// Whether the secret is in base64.
        secret_base64: bool = false;
        /// A file with the public key, in PEM.
        public_key_file: Unset<FilePath> = Unset(None);
        /// A file with a JSON Web Key Set.
        jwks_file: Unset<FilePath> = Unset(None);
        /// Where to fetch a JSON Web Key Set, when the first token comes.
        jwks_url: Unset<String> = Unset(None);
        /// The authorities, in PEM, that count for `jwks_url` instead of the system's.
        jwks_ca_file: Unset<FilePath> = Unset(None);
        /// Time after which the set is fetched again, if the server of `jwks_url` does not name a
        /// shorter one.
        jwks_refresh: Lapse = Lapse::seconds(300), 1_000..=86_400_000;
        /// Least time between two attempts to fetch it.
        jwks_retry: Lapse = Lapse::seconds(10), 100..=86_400_000;
        /// Time that an attempt may take.
        jwks_timeout: Lapse = Lapse::seconds(5), 100..=600_000;
        /// The claim that becomes the user name.
        user_claim: String = "sub".into();
        /// The claim that makes a superuser, whom no rule on topics binds, by `true`.
        superuser_claim: Unset<String> = Unset(None);
        /// The claim with rules, which then count instead of the node's; empty for none.
        acl_claim: String = "acl".into();
        /// Whether a token without an end is refused.
        expiry_required: bool = true;
        /// How much clocks may differ.
        leeway: Lapse = Lapse::seconds(5), 0..=3_600_000;
        /// Claims that must be there with this value, or with a list that contains it, such as `iss`
        /// and `aud`. `%c` stands for the client id, `%u` for the user name that the client sends,
        /// `%l` for the listener, `%cn` for the common name of its certificate.
        claims: ByName<String> = ByName { list: Vec::new(), example: "iss = \"https://example.org\"" };
    }
}

choice! {
    /// Where a client sends its token.
    pub enum TokenFrom {
        /// As password.
        Password = "password",
        /// As user name.
        User = "user",
    }
}

choice! {
    /// Algorithm of a signature (RFC 7518, RFC 8037).
    pub enum JwtAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSA PKCS #1 with SHA-256.
        Rs256 = "RS256",
        /// RSA PKCS #1 with SHA-384.
        Rs384 = "RS384",
        /// RSA PKCS #1 with SHA-512.
        Rs512 = "RS512",
        /// RSA PSS with SHA-256.
        Ps256 = "PS256",
        /// RSA PSS with SHA-384.
        Ps384 = "PS384",
        /// RSA PSS with SHA-512.
        Ps512 = "PS512",
        /// ECDSA with P-256.
        Es256 = "ES256",
        /// ECDSA with P-384.
        Es384 = "ES384",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

settings! {
    /// An HTTP server that is asked about each client. It answers with status 200 and a JSON object:
    /// `result` is "allow", "deny" or "ignore" (the next authentication is asked); beside "allow"
    /// there may be `is_superuser`, `user`, `acl` (rules that count instead of the node's) and
    /// `expire_at` (seconds since 1970). Status 204 allows, 401 and 403 refuse. In `url`, `headers`
    /// and `fields` the following are replaced: `${clientid}`, `${username}`, `${password}`,
    /// `${peerhost}`, `${peerport}`, `${listener}`, `${gateway}`, `${server_name}`,
    /// `${cert_common_name}`, `${cert_subject}`, `${cert_issuer}`, `${cert_serial}`,
    /// `${cert_fingerprint}`.
    pub struct HttpUsers {
        /// Where it is asked: `http://` or `https://`. Redirects are not followed.
        url: Required<String> = Required::default();
        /// How it is asked: with the fields in the body, or in the query.
        method: HttpMethod = HttpMethod::Post;
        /// How fields stand in a body.
        encoding: HttpEncoding = HttpEncoding::Json;
        /// A file with a token that is sent as `Authorization: Bearer TOKEN`. Only the server should
        /// be able to read it.
        token_file: Unset<FilePath> = Unset(None);
        /// The authorities, in PEM, that count instead of the system's.
        ca_file: Unset<FilePath> = Unset(None);
        /// Time for an answer.
        timeout: Lapse = Lapse::seconds(5), 100..=600_000;
        /// What becomes of a client when there is no answer, or one that makes no sense: it is
        /// refused as "Server unavailable", or the next authentication is asked.
        on_trouble: OnTrouble = OnTrouble::Refuse;
        /// Time for which the server is not asked after five failures in a row.
        pause: Lapse = Lapse::seconds(1), 0..=3_600_000;
        /// Questions at once; one more client is refused as "Server busy".
        max_questions: u32 = 256, 1..=65_536;
        /// How long an answer that allows counts for the same question; "0s" to ask each time.
        allowed_ttl: Lapse = Lapse::seconds(60), 0..=86_400_000;
        /// The same for an answer that does not allow.
        denied_ttl: Lapse = Lapse::seconds(0), 0..=86_400_000;
        /// Answers that are remembered.
        cache_entries: u32 = 100_000, 0..=10_000_000;
        /// More headers, by name. A secret belongs in `token_file`.
        headers: ByName<String> = ByName { list: Vec::new(), example: "X-City = \"north\"" };
        /// What is sent, by name; without any: `clientid`, `username`, `password`, `peerhost`,
        /// `listener`, `gateway` and `cert_common_name`.
        fields: ByName<String> = ByName { list: Vec::new(), example: "user = \"${username}\"" };
    }
}

choice! {
    /// How an HTTP server is asked.
    pub enum HttpMethod {
        /// With the fields in the body.
        Post = "post",
        /// With the fields in the query.
        Get = "get",
    }
}

choice! {
    /// How fields stand in a body.
    pub enum HttpEncoding {
        /// As a JSON object.
        Json = "json",
        /// As a form.
        Form = "form",
    }
}

choice! {
    /// What becomes of a client that could not be judged.
    pub enum OnTrouble {
        /// It is refused.
        Refuse = "refuse",
        /// The next authentication is asked.
        Next = "next",
    }
}

settings! {
    /// SCRAM-SHA-256 by MQTT 5's enhanced authentication: the password never leaves the client.
    pub struct ScramUsers {
        /// The file of users, as `manifold users` writes it. It is read again at a reload.
        path: Required<FilePath> = Required::default();
    }
}

settings! {
    /// A list of client ids: clients with others are refused. It goes in front of the
    /// authentications that prove who a client is.
    pub struct ClientIds {
        /// Client ids; `*` stands for any characters.
        ids: List<String> = List::default();
        /// A file with more of them, one on each line. It is read again at a reload.
        path: Unset<FilePath> = Unset(None);
        /// What becomes of a client that is on the list: the next authentication is asked, or it is
        /// let in without a user name.
        listed: Listed = Listed::Next;
    }
}

choice! {
    /// What becomes of a client that is on a list of client ids.
    pub enum Listed {
        /// The next authentication is asked.
        Next = "next",
        /// It is let in.
        Accept = "accept",
    }
}

settings! {
    /// The work of hashing passwords, which is done beside the shards.
    pub struct Hashing {
        /// Passwords hashed at once; 0 for half of the CPUs that the process may use.
        threads: u16 = 0, 0..=1024;
        /// Clients that wait for it; one more is refused as "Server busy".
        queue: u32 = 1_000, 0..=1_000_000;
        /// Good passwords that are remembered, in a form that gives nothing away, so that clients
        /// that come back cost nothing; 0 for none.
        cache_entries: u32 = 100_000, 0..=10_000_000;
        /// How long one that is not used is remembered.
        cache_ttl: Lapse = Lapse::seconds(86_400), 1_000..=2_592_000_000;
    }
}

settings! {
    /// A rule on what clients may do to topics. It fits a client if everything fits that it says of
    /// clients; `*` stands there for any characters. A list may be written as its only member.
    pub struct AclRule {
        /// What the rule allows; a rule has either this or `deny`.
        allow: OneOrMore<AclAction> = OneOrMore::default();
        /// What the rule denies.
        deny: OneOrMore<AclAction> = OneOrMore::default();
        /// Topic filters, as the server knows topics: with the mountpoint. `%c` stands for the
        /// client id, `%u` for the user name, `%l` for the listener, `%cn` for the common name of
        /// the client's certificate. With `eq ` in front, wildcards stand for themselves.
        topics: Required<OneOrMore<String>> = Required::default();
        /// QoS of the messages or subscriptions; unset for all.
        qos: OneOrMore<u8> = OneOrMore::default(), 0..=2;
        /// Whether published messages are to be retained; unset for both.
        retain: Unset<bool> = Unset(None);
        /// User names. A client without one fits none, not even `*`.
        user: OneOrMore<String> = OneOrMore::default();
        /// Client ids.
        client: OneOrMore<String> = OneOrMore::default();
        /// Addresses that clients come from.
        address: OneOrMore<Net> = OneOrMore::default();
        /// Names of listeners.
        listener: OneOrMore<String> = OneOrMore::default();
        /// Names of gateways.
        gateway: OneOrMore<String> = OneOrMore::default();
        /// What the client's certificate says.
        certificate: AclCertificate = AclCertificate::default();
    }
}

settings! {
    /// What the client's certificate says.
    pub struct AclCertificate {
        /// Common name of the subject.
        common_name: OneOrMore<String> = OneOrMore::default();
        /// The whole subject (RFC 4514).
        subject: OneOrMore<String> = OneOrMore::default();
        /// The issuer (RFC 4514).
        issuer: OneOrMore<String> = OneOrMore::default();
        /// Serial number in lower-case hexadecimal.
        serial: OneOrMore<String> = OneOrMore::default();
        /// SHA-256 of the certificate in lower-case hexadecimal.
        fingerprint: OneOrMore<String> = OneOrMore::default();
        /// A host name among the alternative names.
        dns: OneOrMore<String> = OneOrMore::default();
        /// A mail address among the alternative names.
        email: OneOrMore<String> = OneOrMore::default();
        /// A URI among the alternative names.
        uri: OneOrMore<String> = OneOrMore::default();
    }
}

choice! {
    /// What a client does.
    pub enum AclAction {
        /// Publishes a message, or leaves a will.
        Publish = "publish",
        /// Subscribes.
        Subscribe = "subscribe",
        /// Either.
        All = "all",
    }
}

settings! {
    /// Bans clients that come and go too often. Without this table nobody is banned for that.
    pub struct Flapping {
        /// Disconnections within `window` that are allowed; at one more a client is banned. Those
        /// by the server do not count.
        max_disconnects: u32 = 15, 1..=1_000_000;
        /// The time in which they are counted.
        window: Lapse = Lapse::seconds(60), 1_000..=86_400_000;
        /// How long it is banned, by its client id.
        ban_time: Never<Lapse> = Never(Some(Lapse::seconds(300))), 1_000..=31_536_000_000;
    }
}
