//! The settings of an MQTT-SN listener, `[listener.mqtt-sn]`.

use std::sync::Arc;

use core_model::Filter;
use gateway_host::Gateway;
use gateway_settings::{
    Address, ByName, FilePath, Files, GatewaySettings, Lapse, List, ListenerLimits, Never, Size,
    Unset, settings,
};

use crate::{Credentials, MqttSnConfig, MqttSnGateway, Predefined};

settings! {
    /// MQTT-SN 1.2.
    pub(crate) struct MqttSnSettings {
        /// The gateway's GwId. Gateways that the same clients can reach need different ones.
        gateway_id: u8 = 1, 0..=255;
        /// Where the gateway is advertised, such as a broadcast address; unset, nowhere.
        advertise_to: Unset<Address> = Unset(None);
        /// Time between two ADVERTISE.
        advertise_interval: Lapse = Lapse::seconds(900), 1_000..=65_535_000;
        /// GwId of a gateway for which this one stands by: it advertises only while it hears no
        /// ADVERTISE of that one. Unset, it always does.
        standby_for: Unset<u8> = Unset(None), 0..=255;
        /// Time after which a packet is sent again that a client has not answered.
        retry_interval: Lapse = Lapse::seconds(10), 1_000..=65_535_000;
        /// How often it is sent again before the client counts as lost.
        max_retries: u8 = 3, 0..=255;
        /// Time for which the session of a client without CleanSession is kept when it is gone.
        session_expiry: Never<Lapse> = Never(Some(Lapse::seconds(7_200))),
            1_000..=4_294_967_294_000;
        /// Topic ids that one client may have.
        max_topics: u16 = 1024, 1..=65_534;
        /// Bytes that the topics behind one client's ids may have together.
        max_topic_bytes: Size = Size::kib(32), 0..=4_294_967_295;
        /// Clients behind one forwarder.
        max_nodes: u16 = 1024, 1..=65_535;
        /// Largest packet in both directions; a message that needs a larger one is not delivered.
        /// `max_packet_size` of the limits holds as well.
        max_packet_size: Size = Size::kib(8), 32..=65_507;
        /// Highest QoS of messages in both directions.
        max_qos: u8 = 2, 0..=2;
        /// Whether a sleeping client may publish without connecting again.
        publish_asleep: bool = true;
        /// Pre-defined topic ids of all clients, with their topics.
        predefined: ByName<String> = ByName { list: Vec::new(), example: "1 = \"city/time\"" };
        /// A file with more of them: lines of client id, topic and topic id with commas between
        /// them, where the client id `*` stands for all. It is read again at a reload.
        predefined_file: Unset<FilePath> = Unset(None);
        /// What may be published without a connection (QoS -1), as topic filters; empty for
        /// nothing.
        qos_minus_one: List<String> = List(Vec::new());
        /// A file with what clients log in with, since they cannot say it themselves: lines of
        /// client id, user name and password with colons between them, or tabs. The client id `*`
        /// stands for all others, `qos-1` for what is published without a connection. Only the
        /// server should be able to read it. It is read again at a reload.
        credentials_file: Unset<FilePath> = Unset(None);
    }
}

impl MqttSnSettings {
    fn config(&self, limits: &ListenerLimits) -> Result<MqttSnConfig, String> {
        let seconds = |lapse: Lapse| u16::try_from(lapse.whole_seconds()).unwrap_or(u16::MAX);
        let max_packet_size = self.max_packet_size.min(limits.max_packet_size);
        Ok(MqttSnConfig {
            gateway_id: self.gateway_id,
            advertise_to: self.advertise_to.0.map(|to| to.0),
            advertise_interval_s: seconds(self.advertise_interval),
            standby_for: self.standby_for.0,
            t_retry_s: seconds(self.retry_interval),
            n_retry: self.max_retries,
            session_expiry_s: self.session_expiry.0.map_or(u32::MAX, Lapse::whole_seconds),
            connect_timeout_s: seconds(limits.connect_timeout),
            max_topics: self.max_topics,
            topic_bytes_max: u32::try_from(self.max_topic_bytes.0).unwrap_or(u32::MAX),
            max_nodes: self.max_nodes,
            max_packet_size: u16::try_from(max_packet_size.0).unwrap_or(u16::MAX),
            max_qos: self.max_qos,
            publish_asleep: self.publish_asleep,
            predefined: self.predefined()?,
            qos_minus_one: self.filters()?,
            credentials: Credentials::default(),
        })
    }

    /// Those of the table itself.
    fn predefined(&self) -> Result<Predefined, String> {
        let mut predefined = Predefined::default();
        for (id, topic) in &self.predefined.list {
            let number = id.parse().map_err(|_| format!("predefined: {id} is no topic id"))?;
            predefined.add(None, number, topic).map_err(|error| format!("predefined: {error}"))?;
        }
        Ok(predefined)
    }

    fn filters(&self) -> Result<Vec<Filter>, String> {
        let parse = |text: &String| match Filter::parse(text) {
            Ok(filter) if filter.share_name().is_none() => Ok(filter),
            Ok(_) | Err(_) => Err(format!("qos_minus_one: {text:?} is no topic filter")),
        };
        self.qos_minus_one.0.iter().map(parse).collect()
    }
}

impl GatewaySettings for MqttSnSettings {
    fn open(&self, limits: &ListenerLimits) -> Result<Arc<dyn Gateway>, String> {
        open(self.config(limits)?)
    }

    fn open_with_files(
        &self,
        limits: &ListenerLimits,
        files: &mut dyn Files,
    ) -> Option<Arc<dyn Gateway>> {
        let mut config = self.config(limits).map_err(|what| files.complain("", &what)).ok()?;
        if let Some(file) = &self.predefined_file.0 {
            let text = files.read("predefined_file", file)?;
            let read = config.predefined.read(&text);
            read.map_err(|error| files.complain("predefined_file", &error.to_string())).ok()?;
        }
        if let Some(file) = &self.credentials_file.0 {
            let text = files.read_secret("credentials_file", file)?;
            let read = Credentials::read(&text);
            config.credentials = read
                .map_err(|error| files.complain("credentials_file", &error.to_string()))
                .ok()?;
        }
        open(config).map_err(|what| files.complain("", &what)).ok()
    }

    /// Of one client: those behind a forwarder count as sessions.
    fn connection_bytes(&self, _: &ListenerLimits) -> u64 {
        /// A client's state, and its messages on the way.
        const CLIENT_BYTES: u64 = 1024;
        /// An entry in the table of topic ids.
        const TOPIC_BYTES: u64 = 64;
        CLIENT_BYTES + u64::from(self.max_topics) * TOPIC_BYTES + self.max_topic_bytes.0
    }
}

fn open(config: MqttSnConfig) -> Result<Arc<dyn Gateway>, String> {
    let gateway = MqttSnGateway::new(config).map_err(|error| error.to_string())?;
    Ok(Arc::new(gateway))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Files in memory, and what was complained about.
    #[derive(Default)]
    struct Shelf {
        files: Vec<(&'static str, &'static str)>,
        secret: Vec<String>,
        complaints: Vec<String>,
    }

    impl Files for Shelf {
        fn read(&mut self, key: &str, file: &FilePath) -> Option<String> {
            let path = file.in_folder(Path::new(""));
            let found = self.files.iter().find(|(name, _)| Path::new(name) == path);
            let text = found.map(|(_, text)| (*text).to_owned());
            if text.is_none() {
                self.complain(key, "no such file");
            }
            text
        }

        fn read_secret(&mut self, key: &str, file: &FilePath) -> Option<String> {
            self.secret.push(key.to_owned());
            self.read(key, file)
        }

        fn complain(&mut self, key: &str, what: &str) {
            self.complaints.push(format!("{key}: {what}"));
        }
    }

    fn file(name: &str) -> Unset<FilePath> {
        let mut path = FilePath::default();
        gateway_settings::Value::read(
            &mut path,
            gateway_settings::Found::Text(name),
            &(0..=u64::MAX),
        )
        .unwrap();
        Unset(Some(path))
    }

    #[test]
    fn defaults_are_the_gateways_own() {
        let config = MqttSnSettings::default().config(&ListenerLimits::default()).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", MqttSnConfig::default()));
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn what_is_no_id_and_no_filter_is_refused() {
        let limits = ListenerLimits::default();
        let error = |settings: MqttSnSettings| settings.open(&limits).err().unwrap();
        for (id, topic, what) in [
            ("one", "a", "predefined: one is no topic id"),
            ("0", "a", "predefined: topic id 0 is reserved, 1 to 65534 can be used"),
        ] {
            let mut settings = MqttSnSettings::default();
            settings.predefined.list.push((id.into(), topic.into()));
            assert_eq!(error(settings), what);
        }
        for filter in ["a/#/b", "$share/g/a", ""] {
            let qos_minus_one = List(vec![filter.into()]);
            let what = error(MqttSnSettings { qos_minus_one, ..MqttSnSettings::default() });
            assert_eq!(what, format!("qos_minus_one: {filter:?} is no topic filter"));
        }
    }

    #[test]
    fn files_are_read_when_the_gateway_is_built() {
        let mut shelf = Shelf {
            files: vec![("ids", "*,city/time,1"), ("logins", "sn1:ann:p"), ("bad", "hunter2")],
            ..Shelf::default()
        };
        let limits = ListenerLimits::default();
        let mut settings = MqttSnSettings {
            predefined_file: file("ids"),
            credentials_file: file("logins"),
            ..MqttSnSettings::default()
        };
        assert!(settings.open_with_files(&limits, &mut shelf).is_some());
        assert_eq!(shelf.secret, ["credentials_file"]);
        settings.credentials_file = file("bad");
        assert!(settings.open_with_files(&limits, &mut shelf).is_none());
        settings.predefined_file = file("missing");
        assert!(settings.open_with_files(&limits, &mut shelf).is_none());
        settings.predefined_file = file("ids");
        settings.predefined.list.push(("1".into(), "other".into()));
        assert!(settings.open_with_files(&limits, &mut shelf).is_none());
        let line = "not client id, user name and password with colons between them";
        assert_eq!(
            shelf.complaints,
            [
                format!("credentials_file: line 1: {line}"),
                "predefined_file: no such file".to_owned(),
                "predefined_file: line 1: topic id 1 is there twice".to_owned(),
            ]
        );
    }
}
