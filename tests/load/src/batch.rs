//! Buffers for a batch of datagrams, for sendmmsg and recvmmsg.

use crate::sys::addr4;
use libc::*;
use std::mem::{size_of, zeroed};

/// A fixed number of datagram buffers. The address slots let a server answer its peers.
pub struct Batch {
    pub bufs: Vec<Vec<u8>>,
    _iovecs: Vec<iovec>,
    names: Vec<sockaddr_in>,
    headers: Vec<mmsghdr>,
}

// SAFETY: the pointers in the headers lead into this struct's own heap buffers, which move with it.
unsafe impl Send for Batch {}

impl Batch {
    /// `n` buffers of `capacity` bytes; with `named`, each keeps its peer's address.
    pub fn new(n: usize, capacity: usize, named: bool) -> Batch {
        let mut bufs: Vec<Vec<u8>> = (0..n).map(|_| vec![0u8; capacity]).collect();
        let mut iovecs: Vec<iovec> = bufs
            .iter_mut()
            .map(|b| iovec { iov_base: b.as_mut_ptr() as *mut c_void, iov_len: capacity })
            .collect();
        let mut names: Vec<sockaddr_in> = (0..n).map(|_| addr4(0, 0)).collect();
        let header = |i: usize| {
            // SAFETY: all zero is a valid header.
            let mut h: mmsghdr = unsafe { zeroed() };
            h.msg_hdr.msg_iov = &mut iovecs[i];
            h.msg_hdr.msg_iovlen = 1;
            if named {
                h.msg_hdr.msg_name = &mut names[i] as *mut _ as *mut c_void;
                h.msg_hdr.msg_namelen = size_of::<sockaddr_in>() as u32;
            }
            h
        };
        let headers = (0..n).map(header).collect();
        Batch { bufs, _iovecs: iovecs, names, headers }
    }

    /// Sets how many bytes of buffer `i` are sent or may be received.
    pub fn set_len(&mut self, i: usize, n: usize) {
        assert!(n <= self.bufs[i].len());
        // SAFETY: the header's iovec lives in this struct and `n` is within its buffer.
        unsafe { (*self.headers[i].msg_hdr.msg_iov).iov_len = n }
    }

    /// Makes all address slots whole again before a receive.
    pub fn reset_names(&mut self) {
        for h in &mut self.headers {
            h.msg_hdr.msg_namelen = size_of::<sockaddr_in>() as u32
        }
    }

    /// The length of the i-th received datagram.
    pub fn received(&self, i: usize) -> usize {
        self.headers[i].msg_len as usize
    }

    /// Where the i-th datagram came from: address and port, with a named batch.
    pub fn name(&self, i: usize) -> (u32, u16) {
        let name = &self.names[i];
        (u32::from_be(name.sin_addr.s_addr), u16::from_be(name.sin_port))
    }

    /// Where the i-th datagram goes to, with a named batch.
    pub fn set_name(&mut self, i: usize, to: (u32, u16)) {
        self.names[i] = addr4(to.0, to.1);
    }

    /// Receives until the batch is full or, after the first datagram, nothing more waits.
    pub fn receive(&mut self, fd: i32, flags: i32) -> usize {
        let n = self.headers.len() as u32;
        // SAFETY: the headers lead to live buffers of the stated lengths.
        let k =
            unsafe { recvmmsg(fd, self.headers.as_mut_ptr(), n, flags as _, std::ptr::null_mut()) };
        k.max(0) as usize
    }

    /// Sends buffers `from..to`; returns how many went.
    pub fn send(&mut self, fd: i32, from: usize, to: usize) -> usize {
        let part = &mut self.headers[from..to];
        // SAFETY: the headers lead to live buffers of the stated lengths.
        unsafe { sendmmsg(fd, part.as_mut_ptr(), part.len() as u32, 0).max(0) as usize }
    }
}
