//! What the hot paths take in time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use larder_micro::PATHS;

fn micro(criterion: &mut Criterion) {
    for (name, make) in PATHS {
        let mut path = make();
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Elements(path.operations.into()));
        group.bench_function("walk", |bencher| bencher.iter(&mut path.walk));
        group.finish();
    }
}

criterion_group!(all, micro);
criterion_main!(all);
