//! From bytes to commands, and from results to bytes.

use std::hint::black_box;

use bytes::BytesMut;
use larder_protocol::reply::write;
use larder_protocol::{Frame, Limits, LineCodec, lines, parse};
use tokio_util::codec::Decoder as _;

use crate::Path;
use crate::data::{key, value};

/// Requests in a walk, as many as a pipeline is deep.
const REQUESTS: usize = 64;

fn requests(line: impl Fn(usize) -> String) -> Vec<u8> {
    (0..REQUESTS).map(|number| line(number) + "\n").collect::<String>().into_bytes()
}

fn get(number: usize) -> String {
    format!("GET {}", key(number))
}

fn set(number: usize) -> String {
    format!("SET {} {}", key(number), value(number))
}

/// A line of a pipeline of GETs.
pub(crate) fn cut() -> Path {
    let sent = requests(get);
    Path::new(REQUESTS, move || {
        let mut codec = LineCodec::new(Limits::DEFAULT.lines());
        let mut buffer = BytesMut::from(&sent[..]);
        let mut found = 0;
        while let Ok(Some(Frame::Lines(chunk))) = codec.decode(&mut buffer) {
            found += lines(&chunk).map(<[u8]>::len).sum::<usize>();
        }
        assert_eq!(found, sent.len() - REQUESTS);
    })
}

fn parsed(sent: Vec<u8>) -> Path {
    Path::new(REQUESTS, move || {
        for line in lines(&sent) {
            black_box(parse(line, &Limits::DEFAULT).expect("a valid request"));
        }
    })
}

pub(crate) fn parse_get() -> Path {
    parsed(requests(get))
}

pub(crate) fn parse_set() -> Path {
    parsed(requests(set))
}

pub(crate) fn parse_set_with_options() -> Path {
    parsed(requests(|number| format!("SET {} ns=sessions ttl=15m if=present {}", key(number), value(number))))
}

fn written(write: impl Fn(&mut Vec<u8>, usize) + 'static) -> Path {
    let mut out = Vec::with_capacity(64 << 10);
    Path::new(REQUESTS, move || {
        out.clear();
        (0..REQUESTS).for_each(|number| write(&mut out, number));
        black_box(&out);
    })
}

pub(crate) fn write_val() -> Path {
    let values: Vec<String> = (0..REQUESTS).map(value).collect();
    written(move |out, number| write::val(out, 1_000_000 + number as u64, None, values[number].as_bytes()))
}

pub(crate) fn write_ok() -> Path {
    written(|out, number| write::ok_written(out, 1_000_000 + number as u64, None))
}
