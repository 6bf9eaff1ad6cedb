-- What lockers say of their gaps is looked for among those without a reason alone: a look costs what it finds.
CREATE INDEX ledger_gap_untold ON ledger_gap (locker_id, epoch, from_seq) WHERE reason = 'unknown';
