use crate::settings::{FilePath, Lapse, List, Net, Never, Required, Unset};
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
        /// What a client's user is looked up by.
        user_from: UserFrom = UserFrom::User;
    }
}

choice! {
    /// What a client's user is looked up by.
    pub enum UserFrom {
        /// The user name that it sends.
        User = "user",
        /// Its client id.
        ClientId = "client-id",
    }
}

settings! {
    /// The client's certificate, which the listener's TLS has verified or a trusted proxy reports: no
    /// password is needed. A client without one is left to the next.
    pub struct CertificateUsers {
        /// The field that becomes the user name.
        user: CertificateField = CertificateField::CommonName;
        /// Whether a user name that the client sends itself has to be the same.
        must_match_user: bool = false;
        /// Whether the client id has to be the same as the user name.
        must_match_client_id: bool = false;
    }
}

choice! {
    /// A field of a certificate.
    pub enum CertificateField {
        /// Common name of the subject.
        CommonName = "common-name",
        /// The whole subject (RFC 4514).
        Subject = "subject",
        /// First alternative name that is a host name.
        Dns = "dns",
        /// First alternative name that is a mail address.
        Email = "email",
        /// First alternative name that is a URI.
        Uri = "uri",
        /// Serial number in lower-case hexadecimal.
        Serial = "serial",
        /// SHA-256 of the certificate in lower-case hexadecimal.
        Fingerprint = "fingerprint",
    }
}

settings! {
    /// A JSON Web Token. Its signature, its times and the claims below are checked, and the client is
    /// disconnected when it expires. Exactly one of `secret_file`, `public_key_file`, `jwks_file`
    /// and `jwks_url` has to be set.
    pub struct JwtUsers {
        /// Where the client sends the token.
        from: TokenFrom = TokenFrom::Password;
        /// Algorithms that are accepted; all must fit the kind of key.
        algorithms: Vec<JwtAlgorithm> = vec![JwtAlgorithm::Es256];
        /// A file with the secret of HMAC algorithms. Only the server should be able to read it.
        secret_file: Unset<FilePath> = Unset(None);
        /// A file with the public key, in PEM.
        public_key_file: Unset<FilePath> = Unset(None);
        /// A file with a JSON Web Key Set.
        jwks_file: Unset<FilePath> = Unset(None);
        /// Where to fetch a JSON Web Key Set.
        jwks_url: Unset<String> = Unset(None);
        /// Time after which the set is fetched again.
        jwks_refresh: Lapse = Lapse::seconds(300), 1_000..=86_400_000;
        /// Value that the claim `iss` must have.
        issuer: Unset<String> = Unset(None);
        /// Value that the claim `aud` must have or contain.
        audience: Unset<String> = Unset(None);
        /// The claim that becomes the user name.
        user_claim: String = "sub".into();
        /// The claim that must be the client id.
        client_id_claim: Unset<String> = Unset(None);
        /// The claim with rules, which then count instead of the node's.
        acl_claim: String = "acl".into();
        /// How much clocks may differ.
        leeway: Lapse = Lapse::seconds(5), 0..=3_600_000;
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
    /// An HTTP server that is asked about each client.
    pub struct HttpUsers {
        /// Where it is asked.
        url: Required<String> = Required::default();
        /// Method of the request.
        method: HttpMethod = HttpMethod::Post;
        /// Time for an answer.
        timeout: Lapse = Lapse::seconds(5), 100..=600_000;
        /// What becomes of a client when there is no answer, or one that makes no sense.
        on_trouble: OnTrouble = OnTrouble::Refuse;
        /// How long an answer holds for the same credentials; "0s" to ask each time.
        cache_ttl: Lapse = Lapse::seconds(60), 0..=86_400_000;
    }
}

choice! {
    /// Method of a request.
    pub enum HttpMethod {
        /// With a JSON body.
        Post = "post",
        /// With a query.
        Get = "get",
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
    /// A list of client ids that may connect without a password; any other is left to the next.
    pub struct ClientIds {
        /// The file, with a client id on each line. It is read again at a reload.
        path: Required<FilePath> = Required::default();
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
        /// that come back cost nothing.
        cache_entries: u32 = 10_000, 0..=10_000_000;
        /// How long they are remembered.
        cache_ttl: Lapse = Lapse::seconds(300), 1_000..=86_400_000;
    }
}

settings! {
    /// A rule on what clients may do to topics. It fits a client if all that it says of clients fits.
    pub struct AclRule {
        /// What the rule allows.
        allow: List<AclAction> = List::default();
        /// What the rule denies; a rule has either this or `allow`.
        deny: List<AclAction> = List::default();
        /// Client id; `*` stands for any text.
        client: Unset<String> = Unset(None);
        /// User name; `*` stands for any text.
        user: Unset<String> = Unset(None);
        /// Common name of its certificate; `*` stands for any text.
        certificate: Unset<String> = Unset(None);
        /// Addresses that it comes from.
        address: List<Net> = List::default();
        /// Names of listeners.
        listener: List<String> = List::default();
        /// Names of gateways.
        gateway: List<String> = List::default();
        /// Topic filters, mountpoint included. `%c` stands for the client id, `%u` for the user
        /// name.
        topics: Required<Vec<String>> = Required::default();
        /// QoS of the messages or subscriptions; empty for all.
        qos: List<u8> = List::default(), 0..=2;
        /// Whether messages are to be retained; unset for both.
        retain: Unset<bool> = Unset(None);
    }
}

choice! {
    /// What a client does.
    pub enum AclAction {
        /// Publishes a message, or leaves a will.
        Publish = "publish",
        /// Subscribes.
        Subscribe = "subscribe",
    }
}

settings! {
    /// Bans clients that come and go too often. Without this table nobody is banned for that.
    pub struct Flapping {
        /// Disconnections within `window` after which a client is banned.
        max_disconnects: u32 = 15, 1..=1_000_000;
        /// The time in which they are counted.
        window: Lapse = Lapse::seconds(60), 1_000..=86_400_000;
        /// How long it is banned.
        ban_time: Never<Lapse> = Never(Some(Lapse::seconds(300))), 1_000..=31_536_000_000;
    }
}
