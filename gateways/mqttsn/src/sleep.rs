use codec_mqttsn::Packet;
use core_model::{Credit, DisconnectCause, Operation, Reason};

use crate::{
    Shared,
    client::{Client, State, disconnect},
    config::silence_max_ms,
    slot::Door,
};

impl Client {
    /// Handles a DISCONNECT: the end, or a sleep. One of no seconds is the end.
    pub(crate) fn on_disconnect(&mut self, duration_s: Option<u16>, door: &mut Door<'_, '_, '_>) {
        let sleeps_s = duration_s.filter(|duration_s| *duration_s > 0);
        match (&self.state, sleeps_s) {
            (State::Gone, _) => return,
            (State::Active | State::Asleep | State::Awake, Some(duration_s)) => {
                self.sleep(door);
                //= mqttsn:GW-SN-26
                //= mqttsn:GW-SN-27
                self.silence_max_ms = silence_max_ms(duration_s);
                door.send(&Packet::Disconnect(None));
                return;
            }
            (State::Active | State::Asleep | State::Awake | State::Connecting(_), _) => {
                //= mqttsn:GW-SN-24
                disconnect(DisconnectCause::Farewell, door);
            }
            (State::Prompting(_), _) => self.leave_session(DisconnectCause::Farewell, door),
        }
        door.send(&Packet::Disconnect(None));
        self.end(Reason::SUCCESS, door);
    }

    /// Handles a PINGREQ.
    pub(crate) fn on_pingreq(
        &mut self,
        client_id: Option<&str>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        if client_id.is_some_and(|client_id| client_id != &*self.client_id) {
            door.send(&Packet::Disconnect(None));
            return;
        }
        match (&self.state, client_id) {
            //= mqttsn:GW-SN-27
            (State::Asleep, Some(_)) => self.wake_up(shared, door),
            // It is answered when it has got everything. What it was sent may be lost, or have gone
            // to where it was before.
            (State::Awake, _) => self.resume_exchange(shared, door),
            //= mqttsn:GW-SN-23
            _ => {
                door.send(&Packet::Pingresp);
            }
        }
    }

    /// The client sleeps from now on.
    fn sleep(&mut self, door: &mut Door<'_, '_, '_>) {
        self.state = State::Asleep;
        self.heard_at = door.now();
        self.withdraw_credit(door);
    }

    /// The client gets what has come while it slept.
    fn wake_up(&mut self, shared: &Shared, door: &mut Door<'_, '_, '_>) {
        self.state = State::Awake;
        self.is_drained = false;
        self.resume_exchange(shared, door);
        self.pump(shared, door);
    }

    /// The client does not answer while it is awake: its radio may be off again. What was under way
    /// goes on when it wakes up next; whether it is lost is judged by the time that it sleeps.
    pub(crate) fn doze_off(&mut self, door: &mut Door<'_, '_, '_>) {
        self.state = State::Asleep;
        self.withdraw_credit(door);
    }

    /// Core has nothing more for the client.
    pub(crate) fn on_drained(&mut self, door: &mut Door<'_, 'static, '_>) {
        if let State::Awake = self.state {
            self.is_drained = true;
            self.fall_asleep(door);
        }
    }

    /// Lets a client that was awake sleep on, once it has got everything.
    //= mqttsn:GW-SN-27
    pub(crate) fn fall_asleep(&mut self, door: &mut Door<'_, '_, '_>) {
        if matches!(self.state, State::Awake) && self.is_drained && self.sending.is_none() {
            door.send(&Packet::Pingresp);
            self.sleep(door);
        }
    }

    /// Core may deliver nothing.
    pub(crate) fn withdraw_credit(&mut self, door: &mut Door<'_, '_, '_>) {
        self.credit = 0;
        self.is_drained = false;
        door.operation(Operation::Demand(Credit::None));
    }
}
