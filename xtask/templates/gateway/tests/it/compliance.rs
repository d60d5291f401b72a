//! What __Name__ is to the suite of `test-kit`, and the suite.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use codec___name__::{
    __Name__Codec, Code, Codec, Decoded, Done, Hello, Limits, Packet, Publish, Secret, Subscribe,
    Welcome, encode,
};
use gateway___name__::{__Name__Config, __Name__Gateway};
use gateway_host::Gateway;
use socket2::{Domain, Socket, Type};
use test_kit::gateway::{
    Abilities, Accepted, Client, End, Login, PATIENCE, Received, Refused, Settings, Subject,
    Transport,
};

test_kit::gateway_tests!(__Name__);

struct __Name__;

impl Subject for __Name__ {
    type Client = __Name__Client;

    const ABILITIES: Abilities = Abilities {
        transport: Transport::Tcp,
        has_passwords: true,
        has_wills: false,
        has_retained: false,
        has_sessions: true,
        tells_session: true,
        has_wildcards: true,
        has_shared: true,
        says_goodbye: true,
        has_slots: false,
    };

    fn gateway(settings: &Settings) -> Arc<dyn Gateway> {
        let config = __Name__Config::default();
        let max_packet_size = settings.max_packet_size.min(config.max_packet_size);
        Arc::new(__Name__Gateway::new(__Name__Config { max_packet_size, ..config }))
    }

    fn client(server: SocketAddr, from: IpAddr) -> __Name__Client {
        __Name__Client::open(server, from)
    }

    fn frames_of_strangers() -> Vec<(&'static str, Vec<u8>)> {
        let (number, code) = (1, Code::OK);
        [
            Packet::Welcome(Welcome { code, session_present: false }),
            Packet::Publish(Publish { number: 0, topic: "st", payload: b"x" }),
            Packet::Publish(Publish { number, topic: "st", payload: b"x" }),
            Packet::Subscribe(Subscribe { number, filter: "st" }),
            Packet::Done(Done { number, code }),
            Packet::Ping,
            Packet::Pong,
            Packet::Goodbye(code),
        ]
        .map(|packet| (packet.packet_type().name(), written(&packet)))
        .into()
    }
}

fn written(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, &mut bytes).unwrap();
    bytes
}

/// A client over TCP.
struct __Name__Client {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Messages that came while something else was waited for, with their numbers.
    messages: VecDeque<(Received, u16)>,
    /// Whether the server has said goodbye.
    is_told: bool,
}

/// What else comes from the server.
enum Answer {
    Welcome(Welcome),
    Done(Code),
    Pong,
    End,
}

impl __Name__Client {
    fn open(server: SocketAddr, from: IpAddr) -> __Name__Client {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.connect(&server.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let (unread, messages) = Default::default();
        __Name__Client { stream, unread, messages, is_told: false }
    }

    /// Sends a request, and waits for its answer.
    fn ask(&mut self, packet: &Packet<'_>) -> Answer {
        self.send(&written(packet));
        self.answer()
    }

    /// The same for a request that is answered with DONE.
    fn ask_done(&mut self, packet: &Packet<'_>) -> Result<(), Refused> {
        match self.ask(packet) {
            Answer::Done(Code::OK) => Ok(()),
            Answer::Done(code) => Err(Refused(format!("{code:?}"))),
            _ => Err(Refused("closed".into())),
        }
    }

    /// The next packet that is no message; those are kept.
    fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.step() {
                return answer;
            }
        }
    }

    /// Reads one packet, and returns it if it is neither a message nor a goodbye.
    fn step(&mut self) -> Option<Answer> {
        let mut codec = __Name__Codec::new(Limits::UNLIMITED);
        while let Decoded::Need(_) = codec.decode(&self.unread).unwrap() {
            let mut more = [0; 65_536];
            match self.stream.read(&mut more) {
                Ok(0) => return Some(Answer::End),
                Ok(read) => self.unread.extend_from_slice(&more[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the server has not answered")
                }
                // The server has closed a link on which something was still under way.
                Err(_) => return Some(Answer::End),
            }
        }
        let Decoded::Frame { frame, len } = codec.decode(&self.unread).unwrap() else {
            unreachable!("it was enough")
        };
        let answer = match frame {
            Packet::Publish(Publish { number, topic, payload }) => {
                let (topic, payload) = (topic.to_owned(), payload.to_vec());
                self.messages.push_back((Received { topic, payload, retain: false }, number));
                None
            }
            Packet::Welcome(welcome) => Some(Answer::Welcome(welcome)),
            Packet::Done(done) => Some(Answer::Done(done.code)),
            Packet::Pong => Some(Answer::Pong),
            Packet::Goodbye(_) => {
                self.is_told = true;
                None
            }
            other => panic!("{other:?} of the server"),
        };
        self.unread.drain(..len);
        answer
    }
}

impl Client for __Name__Client {
    fn connect(&mut self, login: &Login) -> Result<Accepted, Refused> {
        let frame = self.connect_frame(login);
        self.send(&frame);
        match self.answer() {
            Answer::Welcome(Welcome { code: Code::OK, session_present }) => {
                Ok(Accepted { session_present })
            }
            Answer::Welcome(welcome) => Err(Refused(format!("{:?}", welcome.code))),
            _ => Err(Refused("closed".into())),
        }
    }

    fn connect_frame(&mut self, login: &Login) -> Vec<u8> {
        written(&Packet::Hello(Hello {
            keep: login.is_durable,
            keep_alive_s: 0,
            client_id: &login.client_id,
            user: &login.client_id,
            password: Secret(login.password.as_bytes()),
        }))
    }

    fn publish(&mut self, topic: &str, payload: &[u8], _retain: bool) -> Result<(), Refused> {
        self.ask_done(&Packet::Publish(Publish { number: 7, topic, payload }))
    }

    fn publish_frame(&mut self, topic: &str, payload: &[u8]) -> Vec<u8> {
        written(&Packet::Publish(Publish { number: 0, topic, payload }))
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        self.ask_done(&Packet::Subscribe(Subscribe { number: 7, filter }))
    }

    fn receive(&mut self) -> Option<Received> {
        while self.messages.is_empty() {
            if matches!(self.step(), Some(Answer::End)) {
                break;
            }
        }
        let (received, number) = self.messages.pop_front()?;
        if number != 0 {
            self.send(&written(&Packet::Done(Done { number, code: Code::OK })));
        }
        Some(received)
    }

    fn ping(&mut self) -> bool {
        matches!(self.ask(&Packet::Ping), Answer::Pong)
    }

    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn end(&mut self) -> End {
        while !matches!(self.answer(), Answer::End) {}
        if self.is_told { End::Told } else { End::Closed }
    }

    fn disconnect(mut self) {
        self.send(&written(&Packet::Goodbye(Code::OK)));
        self.end();
    }
}
