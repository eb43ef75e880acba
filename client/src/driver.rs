//! The task behind each connection of an async client. It takes requests from whoever sends some, keeps the socket busy in
//! both directions, and makes a new connection when one fails and something is to be sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::BytesMut;
use larder_protocol::reply::ReplyError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::error::Error;
use crate::lane::{Flight, Landed, Lane, Ticket};
use crate::place::Place;
use crate::request::{Ping, Replies};

pub(crate) type Job = Flight<Box<dyn Caller>>;

/// Whoever waits for a reply, of whatever type.
pub(crate) trait Caller: Ticket + Send {
    /// Hands over what became of the request. An error ends the connection, since what came is no such reply.
    fn answer(self: Box<Self>, reply: Result<BytesMut, Error>) -> Result<(), Error>;
}

impl Ticket for Box<dyn Caller> {
    fn is_wanted(&self) -> bool {
        (**self).is_wanted()
    }

    fn depart(&self) -> bool {
        (**self).depart()
    }
}

/// How far a request has got, for its caller and the task alike: only one of them decides whether it is sent.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    const WAITS: u8 = 0;
    const DEPARTED: u8 = 1;
    const CANCELLED: u8 = 2;

    /// The caller does not want it any more. Whether it is certain that it is never sent.
    pub(crate) fn cancel(&self) -> bool {
        let was = self.0.compare_exchange(Self::WAITS, Self::CANCELLED, Ordering::AcqRel, Ordering::Acquire);
        was.unwrap_or_else(|was| was) != Self::DEPARTED
    }

    /// It is sent now. Whether the caller still wants it.
    fn depart(&self) -> bool {
        let was = self.0.compare_exchange(Self::WAITS, Self::DEPARTED, Ordering::AcqRel, Ordering::Acquire);
        was.unwrap_or_else(|was| was) != Self::CANCELLED
    }
}

/// A caller that waits for a reply of type `T`.
pub(crate) struct Seat<T> {
    pub(crate) reply: oneshot::Sender<Result<T, Error>>,
    pub(crate) read: fn(Replies<'_>) -> Result<T, ReplyError>,
    pub(crate) progress: Arc<Progress>,
    /// Given back when the request is done with.
    pub(crate) load: Load,
}

/// What a request takes of what a client may have under way.
pub(crate) struct Load {
    requests: Arc<AtomicUsize>,
    _bytes: OwnedSemaphorePermit,
}

impl Load {
    pub(crate) fn new(requests: Arc<AtomicUsize>, bytes: OwnedSemaphorePermit) -> Self {
        requests.fetch_add(1, Ordering::Relaxed);
        Self { requests, _bytes: bytes }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T> Ticket for Seat<T> {
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn depart(&self) -> bool {
        self.is_wanted() && self.progress.depart()
    }
}

impl<T: Send> Caller for Seat<T> {
    fn answer(self: Box<Self>, reply: Result<BytesMut, Error>) -> Result<(), Error> {
        let Self { reply: caller, read, load, .. } = *self;
        let answer = reply.and_then(|lines| read(Replies::new(&lines)).map_err(Error::Protocol));
        drop(load);
        let nonsense = matches!(answer, Err(Error::Protocol(_)));
        // Who has gone does not mind.
        _ = caller.send(answer);
        if nonsense { Err(Error::astray()) } else { Ok(()) }
    }
}

/// Why a conversation is over.
enum Over {
    /// There is nothing to do.
    Idle,
    /// There is nobody any more.
    Deserted,
}

/// Runs until the last client is gone.
pub(crate) async fn drive(
    place: Arc<Place>,
    mut connection: Option<Connection>,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) {
    let mut lane = Lane::new(place.options.retry_for);
    let mut backoff = place.backoff();
    loop {
        if lane.is_empty() {
            let Some(job) = next_job(&place, &mut connection, &mut jobs).await else { return };
            lane.submit(job);
        }
        take_all(&mut jobs, &mut lane);
        let failed = match &mut connection {
            Some(connection) => match converse(connection, &mut lane, &mut jobs, &mut backoff).await {
                Ok(Over::Idle) => continue,
                Ok(Over::Deserted) => return,
                Err(error) => lane.lost(Some(connection.exchange()), &error, Instant::now()),
            },
            None => match Connection::open(&place, true).await {
                Ok(opened) => {
                    connection = Some(opened);
                    continue;
                }
                Err(error) => lane.lost(None, &error, Instant::now()),
            },
        };
        connection = None;
        failed.into_iter().for_each(|landed| _ = answer(landed));
        if !lane.is_empty() {
            sleep(backoff.next().min(lane.patience(Instant::now()))).await;
            lane.prune();
        }
    }
}

/// Waits for something to do; `None` when the last client is gone. A connection that does not outlast the wait is let go.
async fn next_job(
    place: &Place,
    connection: &mut Option<Connection>,
    jobs: &mut mpsc::UnboundedReceiver<Job>,
) -> Option<Job> {
    let Some(idle) = connection else { return jobs.recv().await };
    let since = Instant::now();
    let job = tokio::select! {
        biased;
        () = idle.ended() => {
            *connection = None;
            return jobs.recv().await;
        }
        job = jobs.recv() => job?,
    };
    // The runtime may not have looked at its sockets for a while, so that an end which came long ago is not known yet.
    yield_now().await;
    let over = tokio::select! {
        biased;
        () = idle.ended() => true,
        () = async {} => false,
    };
    if over || (since.elapsed() >= place.options.idle_check && !holds(idle, place).await) {
        *connection = None;
    }
    Some(job)
}

/// Whether the server is still there.
async fn holds(connection: &mut Connection, place: &Place) -> bool {
    let asked = connection.call(&Ping);
    match place.options.connect_timeout {
        Some(limit) => matches!(timeout(limit, asked).await, Ok(Ok(()))),
        None => asked.await.is_ok(),
    }
}

/// Sends and receives until all is answered, or the connection fails.
async fn converse(
    connection: &mut Connection,
    lane: &mut Lane<Box<dyn Caller>>,
    jobs: &mut mpsc::UnboundedReceiver<Job>,
    backoff: &mut Backoff,
) -> Result<Over, Error> {
    loop {
        take_all(jobs, lane);
        connection.begin_waiting();
        lane.feed(connection.exchange());
        while let Some(landed) = lane.land(connection.exchange())? {
            backoff.reset();
            answer(landed)?;
        }
        lane.feed(connection.exchange());
        if lane.is_empty() {
            return Ok(Over::Idle);
        }
        tokio::select! {
            biased;
            () = connection.turn() => {}
            job = jobs.recv() => match job {
                Some(job) => lane.submit(job),
                None => return Ok(Over::Deserted),
            },
        }
    }
}

/// Takes what has been sent meanwhile. There is a bound to that: `Options::queue_bytes_max`.
fn take_all(jobs: &mut mpsc::UnboundedReceiver<Job>, lane: &mut Lane<Box<dyn Caller>>) {
    while let Ok(job) = jobs.try_recv() {
        lane.submit(job);
    }
}

fn answer((caller, reply): Landed<Box<dyn Caller>>) -> Result<(), Error> {
    caller.answer(reply)
}
