/**
 * The shapes that the hub sends, as docs/api.md names them. Types only: nothing here runs.
 *
 * @typedef {"online" | "offline" | "never_seen"} LockerState
 * @typedef {"open" | "closed" | "unknown"} DoorState
 *
 * @typedef {object} Locker
 * @property {string} id
 * @property {string} name
 * @property {string} site
 * @property {LockerState} state
 * @property {string | null} state_changed_at
 * @property {string | null} last_seen_at
 * @property {string | null} agent
 * @property {number | null} session
 * @property {{total: number, online: number}} boards
 * @property {DoorCounts} door_counts
 * @property {string} address
 * @property {string} serial
 * @property {string[]} tags
 * @property {Record<Severity, number>} alarms open ones that are annunciated
 * @property {boolean} maintenance
 * @property {string | null} disabled why nothing is taken from it and sent to it
 *
 * @typedef {"critical" | "high" | "medium" | "low"} Severity
 * @typedef {"viewer" | "operator" | "admin"} Role
 *
 * @typedef {{total: number, open: number, closed: number, unknown: number, out_of_service: number}} DoorCounts
 *
 * @typedef {object} Door
 * @property {number} number
 * @property {string} label
 * @property {string | null} size
 * @property {number | null} row
 * @property {number | null} column
 * @property {DoorState} state
 * @property {string | null} state_changed_at
 * @property {DoorState | null} last_known
 * @property {boolean | null} occupied
 * @property {"in" | "out"} service
 * @property {string | null} service_reason
 *
 * @typedef {Locker & {doors: Door[], commands: Command[]}} LockerDetail
 *
 * @typedef {object} LockerEvent
 * @property {string} locker
 * @property {string} epoch
 * @property {number} seq
 * @property {string} kind
 * @property {number | null} door
 * @property {string} occurred_at
 * @property {string} received_at
 * @property {"synced" | "holdover" | "unset"} clock
 * @property {string | null} actor
 * @property {string | null} command
 * @property {string | null} transaction
 * @property {Record<string, unknown> | null} data
 *
 * @typedef {"queued" | "sent" | "accepted" | "timed_out" | "rejected" | "succeeded" | "failed" | "unknown" | "expired" | "cancelled"} CommandState
 *
 * @typedef {object} Command
 * @property {string} id
 * @property {string} locker
 * @property {"open" | "locate" | "configure" | "restart" | "forget"} kind
 * @property {"instant" | "durable"} [class]
 * @property {number | null} door
 * @property {string | null} [by] the operator who gave it
 * @property {Record<string, unknown> | null} [args]
 * @property {string | null} [expires_at]
 * @property {boolean} [cancel_requested]
 * @property {number} [attempts]
 * @property {string | null} actor
 * @property {string | null} reason
 * @property {CommandState} state
 * @property {string | null} detail
 * @property {"opened" | "closed" | "open_not_detected" | null} outcome
 * @property {boolean} late
 * @property {string} accepted_at
 * @property {number} budget_ms
 * @property {number} deadline_ms
 * @property {Partial<Record<"published" | "received" | "started" | "pulsed" | "replied" | "opened", number>>} stages_ms
 *
 * @typedef {"active_unacked" | "active_acked" | "cleared_unacked" | "normal"} AlarmState
 *
 * @typedef {object} Alarm
 * @property {string} id
 * @property {string} type
 * @property {Severity} severity
 * @property {string | null} site
 * @property {string | null} locker
 * @property {number | null} door
 * @property {AlarmState} state
 * @property {string} began_at
 * @property {string} raised_at
 * @property {string | null} cleared_at
 * @property {string} last_at
 * @property {number} count
 * @property {number | null} value
 * @property {number | null} limit
 * @property {string | null} unit
 * @property {string | null} acked_at
 * @property {string | null} acked_by
 * @property {string | null} ack_note
 * @property {{by: string, why: string, at: string, until: string} | null} shelved
 * @property {"shelved" | "maintenance" | "out_of_service" | "folded" | null} suppressed
 * @property {string | null} parent
 * @property {number} children
 * @property {boolean} chattering
 * @property {boolean} stale
 * @property {string} rule
 * @property {string} what
 * @property {string} where
 * @property {string} consequence
 * @property {string} todo
 *
 * @typedef {"waiting_approval" | "running" | "paused" | "done" | "aborted" | "cancelled" | "rejected" | "expired"} JobState
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {"open" | "locate" | "configure" | "restart"} kind
 * @property {Record<string, unknown> | null} args
 * @property {string} reason
 * @property {Record<string, any>} filter
 * @property {JobState} state
 * @property {string | null} why
 * @property {string} created_at
 * @property {string} created_by
 * @property {{until: string, by: string | null, at: string | null} | null} approval
 * @property {string | null} expires_at
 * @property {string | null} ended_at
 * @property {number} rate_per_minute
 * @property {number} canaries
 * @property {number} abort_share
 * @property {number} abort_min_count
 * @property {number} targets
 * @property {number} openings
 * @property {Record<string, number>} [counts] by state of the targets
 * @property {{at: string, operator: string | null, state: JobState, detail: string | null}[]} [steps]
 *
 * @typedef {object} JobPlan
 * @property {number} targets
 * @property {number} lockers
 * @property {number} openings
 * @property {number} canaries
 * @property {boolean} approval_needed
 * @property {number} minutes
 * @property {Record<string, number>} why_not
 * @property {{locker: string, door: number | null, why_not: string | null}[]} items
 *
 * @typedef {object} TailMessage
 * @property {number} n
 * @property {string} at
 * @property {"in" | "out"} direction
 * @property {string} channel
 * @property {string} topic
 * @property {number} bytes
 * @property {boolean} retained
 * @property {string} payload
 * @property {boolean} cut
 * @property {string} verdict
 *
 * @typedef {object} Summary
 * @property {{online: number, offline: number, never_seen: number, maintenance: number}} lockers
 * @property {{open: number, closed: number, unknown: number, out_of_service: number}} doors
 * @property {Record<Severity | "unacked", number>} alarms
 * @property {string} as_of
 *
 * @typedef {object} Problem
 * @property {number} status
 * @property {string} code
 * @property {string} title
 * @property {string} detail
 * @property {number | null} retryAfterS
 *
 * @typedef {object} Frame
 * @property {"hello" | "snapshot" | "diff" | "resync" | "error"} type
 * @property {string} [view]
 * @property {number} [seq]
 * @property {string} [at]
 * @property {any} [data]
 *
 * @typedef {"all" | "online" | "offline" | "open" | "never_seen"} StateFilter
 * @typedef {"attention" | "id" | "name" | "heard" | "alarms"} Sort
 * @typedef {"" | "any" | Severity} AlarmFilter
 *
 * @typedef {object} Filter
 * @property {string} q
 * @property {StateFilter} state
 * @property {string} site
 * @property {string} tag
 * @property {AlarmFilter} alarms
 * @property {boolean} maintenance only lockers under maintenance
 * @property {boolean} out only lockers with doors out of service
 * @property {Sort} sort
 * @property {boolean} grouped
 *
 * @typedef {{type: "site", site: string, total: number, abnormal: number} | {type: "locker", id: string}} Row
 */

export {};
