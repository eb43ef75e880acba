//! Changing the newest state: conditions are decided, records encoded and the index changed in one place, under the
//! exclusive lock, against the newest state with all that is still pending.
//!
//! Every operation is first planned as steps (records encoded into a scratch buffer, with the slots that they lead to)
//! and only then carried out as a whole. So whatever is refused, or does not fit, has changed nothing; and a
//! transaction is nothing but a longer plan. A plan always lands in one frame.

use crate::address::{Address, Tenant};
use crate::clock::{CarriedClock, NEVER, TIME_MAX_MS, is_expired};
use crate::commit::Progress;
use crate::entry::{Condition, Decision, Entry, Expiry, Put, Quota, Stamp};
use crate::error::{Error, Result};
use crate::expiry::Due;
use crate::index::{Held, Key, Slot, Tombstone};
use crate::log::catalog::{Catalog, Need};
use crate::log::format::FRAME_BYTES_SOFT;
use crate::log::frame::HEADER_BYTES as FRAME_HEADER_BYTES;
use crate::log::record::{Kind, Record};
use crate::options::Limits;
use crate::plan::Plan;
use crate::state::{Found, Glance, NamespacePage, NamespaceScan, Page, Scan, State, Values};
use crate::tail::{Place, Undo};
use std::sync::Arc;

/// What a writer needs besides the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Means<'s> {
    pub(crate) clock: &'s CarriedClock,
    pub(crate) catalog: &'s Catalog,
    pub(crate) progress: &'s Progress,
    pub(crate) limits: &'s Limits,
    pub(crate) max_index_bytes: u64,
}

/// The newest state under the exclusive lock, at one reading of the clock. Every call is atomic by itself.
///
/// See [`Store::write`](crate::Store::write). The closure that gets it should be quick: everybody waits for it.
#[derive(Debug)]
pub struct Writer<'s> {
    state: &'s mut State,
    means: Means<'s>,
    pub(crate) glance: Glance,
    plan: Plan,
    quota: Option<Account>,
    /// Bytes of what was written.
    logged_bytes: u64,
}

/// A tenant that is held to its quota.
#[derive(Debug)]
struct Account {
    tenant: Tenant,
    quota: Quota,
    /// How many live entries it has, the plan apart: counted once it may matter, and kept up from then on. The time
    /// stands still meanwhile.
    live: Option<u64>,
}

/// What a delete did.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// Version of the delete itself.
    pub version: u64,
    /// What was there before.
    pub found: Found,
}

/// What a delete of many did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many entries it has removed.
    pub count: u64,
    /// The key of the last of them.
    pub last: Option<Key>,
    /// Whether live entries follow.
    pub more: bool,
}

impl<'s> Writer<'s> {
    pub(crate) fn new(state: &'s mut State, means: Means<'s>, glance: Glance) -> Writer<'s> {
        // A closure that panicked may have left an unfinished plan.
        state.scratch.clear();
        let plan = Plan::new(state.index.tagger());
        Writer { state, means, glance, plan, quota: None, logged_bytes: 0 }
    }

    /// Holds what is put from here on to the quota of a tenant, that tenant's entries alone.
    pub fn set_quota(&mut self, tenant: Tenant, quota: Quota) {
        let limited = quota != Quota::default();
        self.quota = limited.then_some(Account { tenant, quota, live: None });
    }

    /// The engine's time, in milliseconds since the Unix epoch: the same throughout.
    pub fn now_ms(&self) -> u64 {
        self.glance.now_ms
    }

    /// Bytes of log that were written so far. They stay in memory until the log has them: whoever writes a lot does so in
    /// portions.
    pub fn logged_bytes(&self) -> u64 {
        self.logged_bytes
    }

    /// A hint: these entries are about to be looked up. For a batch of them this makes the processor wait for memory once
    /// instead of for each.
    pub fn preload<'a>(&self, addresses: impl Iterator<Item = Address<'a>>) {
        self.state.index.preload(addresses);
    }

    /// The live entry at an address.
    pub fn get(&mut self, at: Address<'_>) -> Option<Found> {
        self.glance.get(self.state, at)
    }

    /// Version and expiry of the live entry at an address.
    pub fn stamp(&mut self, at: Address<'_>) -> Option<Stamp> {
        self.glance.slot(self.state, at).map(|slot| slot.stamp())
    }

    /// Whether there is no live entry at an address, and the last one there was not deleted but has expired. It can be told
    /// until compaction has dropped the last record of it; from then on this is false.
    pub fn has_expired(&mut self, at: Address<'_>) -> bool {
        self.glance.has_expired(self.state, at)
    }

    /// How many live entries of a namespace have keys that start with `prefix`.
    pub fn count(&mut self, tenant: Tenant, namespace: &str, prefix: &str) -> u64 {
        self.glance.count(self.state, tenant, namespace, prefix)
    }

    /// How many live entries a tenant has, in all its namespaces.
    pub fn entries(&mut self, tenant: Tenant) -> u64 {
        self.glance.entries(self.state, tenant)
    }

    /// A page of live entries.
    pub fn scan(&mut self, tenant: Tenant, scan: &Scan<'_>) -> Page {
        self.glance.scan(self.state, tenant, scan)
    }

    /// A page of namespaces that have a live entry.
    pub fn namespaces(&mut self, tenant: Tenant, scan: &NamespaceScan<'_>) -> NamespacePage {
        self.glance.namespaces(self.state, tenant, scan)
    }

    /// Sets an entry, if the condition holds.
    ///
    /// # Errors
    /// [`Error::ValueTooLarge`], [`Error::DescriptionTooLong`], [`Error::DeadlinePassed`], [`Error::IndexFull`],
    /// [`Error::QuotaReached`],
    /// [`Error::NoSpace`] or [`Error::Io`]; nothing was changed then.
    pub fn put(&mut self, at: Address<'_>, put: &Put<'_>) -> Result<Decision<Stamp>> {
        let decision = self.plan_put(at, put);
        self.finish(decision, Some(at))
    }

    /// Removes an entry, if it is there and the condition holds; `Ok(Ok(None))` if it is not there.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]; nothing was changed then.
    pub fn delete(&mut self, at: Address<'_>, condition: Condition) -> Result<Decision<Option<Deleted>>> {
        let decision = Ok(self.plan_delete(at, condition));
        self.finish(decision, Some(at))
    }

    /// Changes nothing but an entry's expiry: `None` if there is no such entry.
    ///
    /// # Errors
    /// [`Error::DeadlinePassed`], [`Error::NoSpace`], [`Error::Io`], or [`Error::Damaged`] where the value, which is
    /// written anew with its expiry, cannot be read; nothing was changed then.
    pub fn touch(&mut self, at: Address<'_>, expiry: Expiry) -> Result<Option<Stamp>> {
        let decision = self.plan_touch(at, expiry);
        self.finish(decision, Some(at))
    }

    /// Removes the live entries of a page, all of them or none: at most [`Limits::transaction_operations`], whatever its limit.
    /// Their values are not looked at. To remove more, go on after the last one, and let others have their turn in between.
    ///
    /// [`Limits::transaction_operations`]: crate::Limits::transaction_operations
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]; nothing was changed then.
    pub fn delete_page(&mut self, tenant: Tenant, page: &Scan<'_>) -> Result<Cleared> {
        let limit = page.limit.min(self.means.limits.transaction_operations);
        let (mut slots, more) = self.glance.slots(self.state, tenant, &Scan { limit, ..*page });
        for (key, slot) in &slots {
            match Address::new(tenant, page.namespace, key) {
                Ok(at) => _ = self.plan_removal(at, Kind::Delete, slot),
                Err(_) => debug_assert!(false, "the index holds checked addresses only"),
            }
        }
        let count = slots.len() as u64;
        let last = slots.pop().map(|(key, _)| key);
        self.finish(Ok(Cleared { count, last, more }), None)
    }

    /// Ends those entries that are still what was found due, and overdue. Returns their deadlines.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]; nothing was changed then.
    pub(crate) fn expire(&mut self, due: &[Due<'_>]) -> Result<Vec<u64>> {
        let mut deadlines = Vec::new();
        for Due { at, tag, sequence } in due {
            if let Held::Live(slot, _) = self.state.index.held(*tag)
                && slot.sequence == *sequence
                && is_expired(slot.deadline, self.glance.now_ms)
            {
                self.plan_removal(*at, Kind::Expire, &slot);
                deadlines.push(slot.deadline);
            }
        }
        self.finish(Ok(deadlines), None)
    }

    /// Several operations that happen all or not at all: if `operations` returns an error, none of them does. It reads
    /// what it has itself changed, so that it can read, decide and write.
    ///
    /// # Errors
    /// Those of `operations`; [`Error::TransactionTooLarge`], [`Error::NoSpace`] or [`Error::Io`].
    pub fn transaction<T, E: From<Error>>(
        &mut self,
        operations: impl FnOnce(&mut Transaction<'_, 's>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.plan.begin_transaction();
        match operations(&mut Transaction { writer: self, operations: 0 }) {
            Ok(result) => self.finish(Ok(result), None).map_err(E::from),
            Err(error) => {
                self.drop_plan();
                Err(error)
            }
        }
    }

    fn plan_put(&mut self, at: Address<'_>, put: &Put<'_>) -> Result<Decision<Stamp>> {
        let limits = self.means.limits;
        let own_limit = self.quota_of(at.tenant()).and_then(|account| account.quota.value_bytes);
        let value_bytes = own_limit.map_or(limits.value_bytes, |own| own.min(limits.value_bytes));
        if put.value.len() > value_bytes {
            return Err(Error::ValueTooLarge { length: put.value.len(), limit: value_bytes });
        }
        let description = put.description.unwrap_or_default();
        // A text has no more characters than bytes: the usual short one is not counted.
        if description.len() > limits.description_characters {
            let characters = description.chars().count();
            if characters > limits.description_characters {
                return Err(Error::DescriptionTooLong { characters, limit: limits.description_characters });
            }
        }
        let present = self.newest(at);
        let live = present.filter(|slot| !is_expired(slot.deadline, self.glance.now_ms));
        if let Err(refusal) = put.condition.check(live.map(|slot| slot.sequence)) {
            return Ok(Err(refusal));
        }
        let deadline = self.deadline(put.expiry, live.as_ref())?;
        if present.is_none() && self.state.index.bytes() >= self.means.max_index_bytes {
            let (bytes, limit) = (self.state.index.bytes(), self.means.max_index_bytes);
            return Err(Error::IndexFull { bytes, limit });
        }
        if live.is_none() {
            self.check_room(at.tenant())?;
        }
        if let (Some(overdue), None) = (present, live) {
            self.plan_removal(at, Kind::Expire, &overdue);
        }
        let sequence = self.next_sequence();
        let now_ms = self.glance.now_ms;
        let (creation, created_at) = live.map_or((sequence, now_ms), |slot| (slot.creation, slot.created_at));
        let record = Record {
            kind: Kind::Put,
            tag: put.tag,
            tenant: at.tenant(),
            namespace: at.namespace(),
            key: at.key(),
            description,
            value: put.value,
            sequence,
            deadline,
            created_at,
            updated_at: now_ms,
            creation,
        };
        Ok(Ok(self.plan_put_record(&record)))
    }

    fn quota_of(&mut self, tenant: Tenant) -> Option<&mut Account> {
        self.quota.as_mut().filter(|account| account.tenant == tenant)
    }

    /// Whether a tenant may have an entry more.
    fn check_room(&mut self, tenant: Tenant) -> Result<()> {
        let Some(Account { quota: Quota { entries: Some(limit), .. }, live, .. }) = self.quota_of(tenant)
        else {
            return Ok(());
        };
        let (limit, live) = (*limit, *live);
        // The plan may hold entries of others; they count as its own here, where it is only looked whether it may matter.
        let most = self.state.index.entries_of(tenant) + self.plan.steps.len() as u64;
        if most < limit {
            return Ok(());
        }
        let live = live.unwrap_or_else(|| self.glance.entries(self.state, tenant));
        if let Some(account) = self.quota_of(tenant) {
            account.live = Some(live);
        }
        let with_plan = live.saturating_add_signed(self.plan.counted());
        if with_plan < limit {
            return Ok(());
        }
        self.glance.observed = self.glance.observed.max(self.state.next_sequence - 1);
        Err(Error::QuotaReached { limit })
    }

    fn plan_delete(&mut self, at: Address<'_>, condition: Condition) -> Decision<Option<Deleted>> {
        let live = self.newest(at).filter(|slot| !is_expired(slot.deadline, self.glance.now_ms));
        condition.check(live.map(|slot| slot.sequence))?;
        let Some(slot) = live else { return Ok(None) };
        let found = self.found(slot);
        let version = self.plan_removal(at, Kind::Delete, &slot);
        Ok(Some(Deleted { version, found }))
    }

    fn plan_touch(&mut self, at: Address<'_>, expiry: Expiry) -> Result<Option<Stamp>> {
        let live = self.newest(at).filter(|slot| !is_expired(slot.deadline, self.glance.now_ms));
        let Some(slot) = live else { return Ok(None) };
        let deadline = self.deadline(expiry, live.as_ref())?;
        let found = self.found(slot);
        let (values, mut buffer) = (Values::new(self.state), Vec::new());
        let record = values.record(&found, &mut buffer)?;
        let (sequence, updated_at) = (self.next_sequence(), self.glance.now_ms);
        Ok(Some(self.plan_put_record(&Record { sequence, deadline, updated_at, ..record })))
    }

    /// The newest slot of an entry, overdue or not, with what this plan has already changed.
    fn newest(&mut self, at: Address<'_>) -> Option<Slot> {
        if let Some(step) = self.plan.newest(&self.state.scratch, at) {
            return step.slot;
        }
        let present = self.state.index.get(at);
        self.glance.slot(self.state, at);
        present
    }

    /// What a slot points at, which may be a record of this plan.
    fn found(&mut self, slot: Slot) -> Found {
        // The steps of a plan have successive sequences.
        let index = slot.sequence.checked_sub(self.state.next_sequence);
        let index = index.and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.plan.steps.get(index)) {
            Some(step) => {
                let record = &self.state.scratch[step.start..step.end];
                Found::new(slot, Some(Arc::from(record)))
            }
            None => self.glance.found(self.state, slot),
        }
    }

    fn deadline(&self, expiry: Expiry, live: Option<&Slot>) -> Result<u64> {
        match expiry {
            Expiry::Never => Ok(NEVER),
            Expiry::Keep => Ok(live.map_or(NEVER, |slot| slot.deadline)),
            Expiry::At(deadline_ms) if is_expired(deadline_ms, self.glance.now_ms) => {
                Err(Error::DeadlinePassed { deadline_ms, now_ms: self.glance.now_ms })
            }
            Expiry::At(deadline_ms) => Ok(deadline_ms.min(TIME_MAX_MS)),
        }
    }

    fn next_sequence(&self) -> u64 {
        self.state.next_sequence + self.plan.steps.len() as u64
    }

    fn plan_put_record(&mut self, record: &Record<'_>) -> Stamp {
        let slot = Slot {
            sequence: record.sequence,
            creation: record.creation,
            created_at: record.created_at,
            deadline: record.deadline,
            segment: 0,
            position: 0,
            length: u32::try_from(record.encoded_len()).unwrap_or(u32::MAX),
        };
        self.plan_record(record, Some(slot));
        slot.stamp()
    }

    fn plan_removal(&mut self, at: Address<'_>, kind: Kind, slot: &Slot) -> u64 {
        let sequence = self.next_sequence();
        let record = Record {
            kind,
            tag: 0,
            tenant: at.tenant(),
            namespace: at.namespace(),
            key: at.key(),
            description: "",
            value: b"",
            sequence,
            deadline: slot.deadline,
            created_at: slot.created_at,
            updated_at: self.glance.now_ms,
            creation: slot.creation,
        };
        self.plan_record(&record, None);
        sequence
    }

    fn plan_record(&mut self, record: &Record<'_>, slot: Option<Slot>) {
        // Those of the tenant that is held to a quota are counted.
        let counts = self.quota.as_ref().is_some_and(|account| account.tenant == record.tenant);
        self.plan.push(&mut self.state.scratch, record, slot, counts);
    }

    /// Carries the plan out, if `decision` is none against it. `at` is the entry that all of it is about, if it is
    /// but one.
    fn finish<T>(&mut self, decision: Result<T>, at: Option<Address<'_>>) -> Result<T> {
        let done = match decision {
            Ok(result) if self.plan.steps.is_empty() => Ok(result),
            Ok(result) => self.place().map(|()| {
                self.carry_out(at);
                result
            }),
            Err(error) => Err(error),
        };
        self.drop_plan();
        done
    }

    /// Makes room for the plan in one frame of the log.
    fn place(&mut self) -> Result<()> {
        let payload = self.state.scratch.len();
        let removes = self.plan.steps.iter().all(|step| step.slot.is_none());
        let need = if removes { Need::Removals } else { Need::Puts };
        if !self.state.tail.frame_has_room(need, payload) {
            let buffer = std::mem::take(&mut self.state.frame_buffer);
            let durable = self.means.progress.durable();
            self.state.tail.close_frame(durable, self.glance.now_ms, buffer);
        }
        if !self.state.tail.segment_has_room(need, payload) {
            let frame_bytes = (FRAME_HEADER_BYTES + payload) as u64;
            let next = self.means.catalog.take(need, frame_bytes, self.means.clock)?;
            self.state.rotate(next);
        }
        Ok(())
    }

    fn carry_out(&mut self, at: Option<Address<'_>>) {
        let counted = self.plan.counted();
        if let Some(live) = self.quota.as_mut().and_then(|account| account.live.as_mut()) {
            *live = live.saturating_add_signed(counted);
        }
        let State { index, tail, scratch, next_sequence, snapshots, .. } = &mut *self.state;
        for step in &self.plan.steps {
            let encoded = &scratch[step.start..step.end];
            let named = || Record::trusted(encoded).and_then(|record| record.address());
            let Some(at) = at.or_else(named) else {
                debug_assert!(false, "the engine encodes checked addresses only");
                continue;
            };
            let Some(place) = tail.push(encoded, step.sequence) else {
                debug_assert!(false, "the plan was given its place before");
                continue;
            };
            let Place { segment, position, frame_at } = place;
            let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
            let sequence = step.sequence;
            let previous = match step.slot {
                Some(slot) => index.put(at, Slot { segment, position, length, ..slot }),
                None => index.bury(at, step.kind, Tombstone { sequence, segment, length }),
            };
            snapshots.note(at, &previous);
            tail.note(Undo { at: frame_at, previous });
        }
        *next_sequence += self.plan.steps.len() as u64;
        self.glance.observed = self.glance.observed.max(*next_sequence - 1);
        self.logged_bytes += scratch.len() as u64;
    }

    fn drop_plan(&mut self) {
        self.plan.clear();
        self.state.scratch.clear();
        self.state.scratch.shrink_to(FRAME_BYTES_SOFT);
    }
}

/// Operations that happen all or not at all, see [`Writer::transaction`].
#[derive(Debug)]
pub struct Transaction<'w, 's> {
    writer: &'w mut Writer<'s>,
    /// Operations that changed something.
    operations: usize,
}

impl<'s> Transaction<'_, 's> {
    /// The engine's time, in milliseconds since the Unix epoch: the same throughout.
    pub fn now_ms(&self) -> u64 {
        self.writer.now_ms()
    }

    /// The live entry at an address, as this transaction has left it.
    pub fn get(&mut self, at: Address<'_>) -> Option<Found> {
        let now_ms = self.now_ms();
        let slot = self.writer.newest(at).filter(|slot| !is_expired(slot.deadline, now_ms))?;
        Some(self.writer.found(slot))
    }

    /// The live entry at an address with all its fields, as this transaction has left it. Values that are not in
    /// memory are read from disk under the store's lock; [`Store::get`](crate::Store::get) beforehand brings them in.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn entry(&mut self, at: Address<'_>) -> Result<Option<Entry>> {
        let Some(found) = self.get(at) else { return Ok(None) };
        Values::new(self.writer.state).entry(&found).map(Some)
    }

    /// Sets an entry, if the condition holds. Errors as for [`Writer::put`].
    pub fn put(&mut self, at: Address<'_>, put: &Put<'_>) -> Result<Decision<Stamp>> {
        self.step(|writer| writer.plan_put(at, put))
    }

    /// Removes an entry, if it is there and the condition holds. Errors as for [`Writer::delete`].
    pub fn delete(&mut self, at: Address<'_>, condition: Condition) -> Result<Decision<Option<Deleted>>> {
        self.step(|writer| Ok(writer.plan_delete(at, condition)))
    }

    /// Changes nothing but an entry's expiry. Errors as for [`Writer::touch`].
    pub fn touch(&mut self, at: Address<'_>, expiry: Expiry) -> Result<Option<Stamp>> {
        self.step(|writer| writer.plan_touch(at, expiry))
    }

    /// Plans an operation more, and takes it back if that is too much.
    fn step<T>(&mut self, plan: impl FnOnce(&mut Writer<'s>) -> Result<T>) -> Result<T> {
        let (steps, length) = (self.writer.plan.steps.len(), self.writer.state.scratch.len());
        let result = plan(self.writer)?;
        self.operations += usize::from(self.writer.plan.steps.len() > steps);
        let (operations, bytes) = (self.operations, self.writer.state.scratch.len());
        let limits = self.writer.means.limits;
        // One operation alone is bounded by the limits on values.
        if operations > limits.transaction_operations || (operations > 1 && bytes > limits.transaction_bytes)
        {
            self.operations -= 1;
            self.writer.plan.truncate(steps);
            self.writer.state.scratch.truncate(length);
            return Err(Error::TransactionTooLarge {
                operations,
                bytes,
                operations_max: limits.transaction_operations,
                bytes_max: limits.transaction_bytes,
            });
        }
        Ok(result)
    }
}
