/*
 * All SQL of the index.  Values are bound, never written into a text; strings
 * are kept as blobs, so that they compare by bytes.  Lanes are the numbers of
 * enum store_lane: 0 ready, 1 waiting, 2 held, 3 stopped.
 */
#ifndef STORE_SPOOL_SPOOL_SQL_H
#define STORE_SPOOL_SPOOL_SQL_H

/* Another version of the index is set aside and rebuilt from the log. */
#define SPOOL_INDEX_VERSION 3

/*
 * state: the log position that this state covers, and clocks.
 * destination.open_*: messages with rows that are not stopped; odd_count and
 *   multi_count: its rows in special.
 * special: kind 0, a message that came after one with a later arrival; kind 1,
 *   a message with recipients of several domains at the destination.
 * message.content: offset of the content's first block in its segment.
 * recipient.alarm: its time, below 0 while the row is stopped, 0 = never.
 * message.live: rows left; destinations: numbers of 8 bytes each; reason: why
 *   rows of it are stopped, or empty.
 */
#define SPOOL_SQL_SCHEMA                                                       \
	"CREATE TABLE state (one INTEGER PRIMARY KEY, segment INTEGER,"        \
	" offset INTEGER, seq INTEGER, queue_ms INTEGER, wall_ms INTEGER,"     \
	" is_clean INTEGER, is_disordered INTEGER);"                           \
	"INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, 0, 0);"                   \
	"CREATE TABLE segment (number INTEGER PRIMARY KEY,"                    \
	" live_count INTEGER, live_bytes INTEGER, is_damaged INTEGER,"         \
	" live_content INTEGER);"                                              \
	"CREATE TABLE destination (no INTEGER PRIMARY KEY, name BLOB UNIQUE,"  \
	" ready INTEGER, waiting INTEGER, held INTEGER, stopped INTEGER,"      \
	" messages INTEGER, bytes INTEGER, open_messages INTEGER,"             \
	" open_bytes INTEGER, arrival_max INTEGER, odd_count INTEGER,"         \
	" multi_count INTEGER, due_ms INTEGER, failures INTEGER);"             \
	"CREATE INDEX destination_ready ON destination (name)"                 \
	" WHERE ready > 0;"                                                    \
	"CREATE INDEX destination_due ON destination (due_ms)"                 \
	" WHERE ready > 0;"                                                    \
	"CREATE TABLE domain (destination INTEGER, name BLOB,"                 \
	" messages INTEGER, bytes INTEGER, PRIMARY KEY (destination, name))"   \
	" WITHOUT ROWID;"                                                      \
	"CREATE TABLE special (destination INTEGER, kind INTEGER,"             \
	" arrival_ms INTEGER, seq INTEGER,"                                    \
	" PRIMARY KEY (destination, kind, arrival_ms, seq)) WITHOUT ROWID;"    \
	"CREATE TABLE message (seq INTEGER PRIMARY KEY, id BLOB UNIQUE,"       \
	" segment INTEGER, offset INTEGER, length INTEGER, content INTEGER,"   \
	" size INTEGER, arrival_ms INTEGER, arrival_wall_ms INTEGER,"          \
	" expire_ms INTEGER, rank INTEGER, is_staged INTEGER, live INTEGER,"   \
	" envelope BLOB, destinations BLOB, reason BLOB);"                     \
	"CREATE TABLE recipient (destination INTEGER, seq INTEGER,"            \
	" idx INTEGER, lane INTEGER, place INTEGER, home INTEGER,"             \
	" rank INTEGER, attempts INTEGER, notify INTEGER, alarm INTEGER,"      \
	" is_told INTEGER, domain BLOB,"                                       \
	" address BLOB, orcpt BLOB, status BLOB,"                              \
	" PRIMARY KEY (destination, seq, idx)) WITHOUT ROWID;"                 \
	"CREATE INDEX recipient_order"                                         \
	" ON recipient (destination, lane, place, seq, idx);"                  \
	"CREATE INDEX recipient_due ON recipient (place, seq, idx)"            \
	" WHERE lane = 1;"                                                     \
	"CREATE INDEX recipient_alarm ON recipient (alarm, seq, idx)"          \
	" WHERE alarm > 0;"

#define SPOOL_SQL_MESSAGE                                                      \
	"SELECT seq, id, segment, offset, length, content, size, arrival_ms,"  \
	" arrival_wall_ms, expire_ms, rank, is_staged, live, envelope,"        \
	" destinations, reason FROM message "

#define SPOOL_SQL_DESTINATION                                                  \
	"SELECT no, name, ready, waiting, held, stopped, messages, bytes,"     \
	" open_messages, open_bytes, arrival_max, odd_count, multi_count,"     \
	" due_ms, failures FROM destination "

/* X(name, text) */
#define SPOOL_SQL(X)                                                           \
	X(BEGIN, "BEGIN IMMEDIATE")                                            \
	X(COMMIT, "COMMIT")                                                    \
	X(ROLLBACK, "ROLLBACK")                                                \
	X(STATE_GET,                                                           \
	    "SELECT segment, offset, seq, queue_ms, wall_ms, is_clean,"        \
	    " is_disordered FROM state WHERE one = 1")                         \
	X(STATE_SET, "UPDATE state SET segment = ?1, offset = ?2, seq = ?3,"   \
		     " queue_ms = ?4, wall_ms = ?5, is_clean = ?6,"            \
		     " is_disordered = ?7 WHERE one = 1")                      \
	X(SEGMENT_ALL,                                                         \
	    "SELECT number, live_count, live_bytes, is_damaged, live_content"  \
	    " FROM segment")                                                   \
	X(SEGMENT_SET,                                                         \
	    "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?)")           \
	X(SEGMENT_DROP, "DELETE FROM segment WHERE number < ?")                \
	X(DESTINATION_BY_NAME, SPOOL_SQL_DESTINATION "WHERE name = ?")         \
	X(DESTINATION_BY_NO, SPOOL_SQL_DESTINATION "WHERE no = ?")             \
	X(DESTINATION_LAST, "SELECT max(no) FROM destination")                 \
	X(DESTINATION_ADD,                                                     \
	    "INSERT INTO destination VALUES"                                   \
	    " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"   \
	    " ?15)")                                                           \
	X(DESTINATION_SET,                                                     \
	    "UPDATE destination SET name = ?2, ready = ?3, waiting = ?4,"      \
	    " held = ?5, stopped = ?6, messages = ?7, bytes = ?8,"             \
	    " open_messages = ?9, open_bytes = ?10, arrival_max = ?11,"        \
	    " odd_count = ?12, multi_count = ?13, due_ms = ?14,"               \
	    " failures = ?15 WHERE no = ?1")                                   \
	X(DESTINATION_DROP, "DELETE FROM destination WHERE no = ?")            \
	X(DESTINATION_NEXT, SPOOL_SQL_DESTINATION                              \
	    "WHERE name > ?1 AND messages > 0 ORDER BY name")                  \
	X(DESTINATION_NEXT_READY, SPOOL_SQL_DESTINATION                        \
	    "INDEXED BY destination_ready WHERE ready > 0 AND name > ?1"       \
	    " AND due_ms <= ?2 ORDER BY name")                                 \
	X(DESTINATION_DUE,                                                     \
	    "SELECT due_ms FROM destination INDEXED BY destination_due"        \
	    " WHERE ready > 0 AND due_ms > ? ORDER BY due_ms LIMIT 1")         \
	X(DESTINATION_OLDEST,                                                  \
	    "SELECT m.arrival_ms FROM recipient r JOIN message m"              \
	    " ON m.seq = r.seq WHERE r.destination = ? ORDER BY r.seq"         \
	    " LIMIT 1")                                                        \
	X(DOMAIN_GET, "SELECT messages, bytes FROM domain"                     \
		      " WHERE destination = ? AND name = ?")                   \
	X(DOMAIN_SET, "INSERT OR REPLACE INTO domain VALUES (?, ?, ?, ?)")     \
	X(DOMAIN_DROP,                                                         \
	    "DELETE FROM domain WHERE destination = ? AND name = ?")           \
	X(SPECIAL_ADD, "INSERT OR REPLACE INTO special VALUES (?, ?, ?, ?)")   \
	X(SPECIAL_DROP,                                                        \
	    "DELETE FROM special WHERE destination = ? AND kind = ?"           \
	    " AND arrival_ms = ? AND seq = ?")                                 \
	X(SPECIAL_OLDEST,                                                      \
	    "SELECT arrival_ms FROM special WHERE destination = ?"             \
	    " AND kind = 0 ORDER BY arrival_ms LIMIT 1")                       \
	X(SPECIAL_MULTI,                                                       \
	    "SELECT seq FROM special WHERE destination = ? AND kind = 1")      \
	X(SPECIAL_CLEAR, "DELETE FROM special WHERE kind = 0")                 \
	X(SPECIAL_REBUILD,                                                     \
	    "INSERT INTO special SELECT destination, 0, arrival_ms, seq FROM"  \
	    " (SELECT r.destination AS destination,"                           \
	    " m.arrival_ms AS arrival_ms, m.seq AS seq, max(m.arrival_ms)"     \
	    " OVER (PARTITION BY r.destination ORDER BY r.seq) AS top"         \
	    " FROM (SELECT DISTINCT destination, seq FROM recipient) r"        \
	    " JOIN message m ON m.seq = r.seq) WHERE arrival_ms < top")        \
	X(SPECIAL_RECOUNT,                                                     \
	    "UPDATE destination SET odd_count = (SELECT count(*) FROM special" \
	    " WHERE special.destination = destination.no AND kind = 0)")       \
	X(MESSAGE_ADD,                                                         \
	    "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"  \
	    " ?, ?, ?, ?)")                                                    \
	X(MESSAGE_KEY, "SELECT seq FROM message WHERE id = ?")                 \
	X(MESSAGE_BY_ID, SPOOL_SQL_MESSAGE "WHERE id = ?")                     \
	X(MESSAGE_BY_KEY, SPOOL_SQL_MESSAGE "WHERE seq = ?")                   \
	X(MESSAGE_NEXT,                                                        \
	    SPOOL_SQL_MESSAGE "WHERE seq > ? ORDER BY seq LIMIT 1")            \
	X(MESSAGE_IN, "SELECT seq FROM message WHERE segment = ? LIMIT 1")     \
	X(MESSAGE_STAGED, "SELECT is_staged FROM message WHERE id = ?")        \
	X(MESSAGE_MOVE,                                                        \
	    "UPDATE message SET segment = ?2, offset = ?3, length = ?4,"       \
	    " content = ?5 WHERE seq = ?1")                                    \
	X(MESSAGE_LIVE, "UPDATE message SET live = ?2 WHERE seq = ?1")         \
	X(MESSAGE_AT, "UPDATE message SET destinations = ?2 WHERE seq = ?1")   \
	X(MESSAGE_REASON, "UPDATE message SET reason = ?2 WHERE seq = ?1")     \
	X(MESSAGE_DROP, "DELETE FROM message WHERE seq = ?")                   \
	X(ROW_ADD,                                                             \
	    "INSERT INTO recipient VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"   \
	    " ?, ?, ?, ?)")                                                    \
	X(ROW_SET,                                                             \
	    "UPDATE recipient SET lane = ?4, place = ?5, attempts = ?6,"       \
	    " status = ?7 WHERE destination = ?1 AND seq = ?2 AND idx = ?3")   \
	X(ROW_ALARM, "UPDATE recipient SET alarm = ?4, is_told = ?5"           \
		     " WHERE destination = ?1 AND seq = ?2 AND idx = ?3")      \
	X(ROW_ALARMS, "SELECT destination, seq, alarm FROM recipient"          \
		      " INDEXED BY recipient_alarm WHERE alarm > 0"            \
		      " ORDER BY alarm, seq, idx")                             \
	X(ROW_DROP, "DELETE FROM recipient WHERE destination = ? AND seq = ?"  \
		    " AND idx = ?")                                            \
	X(ROW_HOME, "UPDATE recipient SET lane = home, place = rank"           \
		    " WHERE destination = ? AND seq = ? AND idx = ?")          \
	X(ROW_GROUP,                                                           \
	    "SELECT idx, lane, place, home, attempts, notify, alarm, is_told," \
	    " domain, address, orcpt, status FROM recipient"                   \
	    " WHERE destination = ? AND seq = ? ORDER BY idx")                 \
	X(ROW_NEXT,                                                            \
	    "SELECT seq FROM recipient WHERE destination = ? AND seq > ?"      \
	    " ORDER BY seq LIMIT 1")                                           \
	X(ROW_ORDER,                                                           \
	    "SELECT seq FROM recipient INDEXED BY recipient_order"             \
	    " WHERE destination = ? AND lane = ? ORDER BY place, seq, idx")    \
	X(ROW_DUE, "SELECT destination, seq, idx, home, place FROM recipient"  \
		   " INDEXED BY recipient_due WHERE lane = 1"                  \
		   " ORDER BY place, seq, idx LIMIT ?")                        \
	X(ROW_REHOLD, "UPDATE recipient SET lane = home, place = rank"         \
		      " WHERE destination = ? AND lane = 1 AND home = ?")

/* What has to be true of the counts: each gives the number of offenders. */
#define SPOOL_SQL_CHECKS(X)                                                    \
	X("SELECT count(*) FROM message m LEFT JOIN (SELECT seq AS s,"         \
	  " count(*) AS n FROM recipient GROUP BY seq) ON s = m.seq"           \
	  " WHERE m.live = 0 OR m.live <> ifnull(n, 0)")                       \
	X("SELECT count(*) FROM recipient r WHERE NOT EXISTS"                  \
	  " (SELECT 1 FROM message m WHERE m.seq = r.seq)")                    \
	X("SELECT count(*) FROM recipient WHERE lane > 3 OR"                   \
	  " (lane <> 1 AND lane <> 3 AND place <> rank) OR"                    \
	  " (home <> 0 AND home <> 2) OR (alarm < 0 AND lane <> 3) OR"         \
	  " (alarm > 0 AND lane = 3)")                                         \
	X("SELECT count(*) FROM destination d LEFT JOIN"                       \
	  " (SELECT destination, sum(lane = 0) AS l0, sum(lane = 1) AS l1,"    \
	  " sum(lane = 2) AS l2, sum(lane = 3) AS l3,"                         \
	  " count(DISTINCT seq) AS n FROM recipient GROUP BY destination) r"   \
	  " ON r.destination = d.no WHERE d.ready <> ifnull(l0, 0)"            \
	  " OR d.waiting <> ifnull(l1, 0) OR d.held <> ifnull(l2, 0)"          \
	  " OR d.stopped <> ifnull(l3, 0) OR d.messages <> ifnull(n, 0)")      \
	X("SELECT count(*) FROM destination d LEFT JOIN"                       \
	  " (SELECT destination, sum(size) AS b, sum(is_open) AS n,"           \
	  " sum(size * is_open) AS o FROM (SELECT r.destination, m.size,"      \
	  " max(r.lane <> 3) AS is_open FROM recipient r"                      \
	  " JOIN message m ON m.seq = r.seq GROUP BY r.destination, r.seq)"    \
	  " GROUP BY destination) s ON s.destination = d.no"                   \
	  " WHERE d.bytes <> ifnull(b, 0) OR d.open_messages <> ifnull(n, 0)"  \
	  " OR d.open_bytes <> ifnull(o, 0)")                                  \
	X("SELECT count(*) FROM (SELECT r.destination AS d, r.domain AS n,"    \
	  " count(DISTINCT r.seq) AS c FROM recipient r WHERE r.lane <> 3"     \
	  " GROUP BY 1, 2) s LEFT JOIN domain ON domain.destination = s.d"     \
	  " AND domain.name = s.n WHERE ifnull(domain.messages, 0) <> s.c")    \
	X("SELECT count(*) FROM domain WHERE messages <= 0 OR NOT EXISTS"      \
	  " (SELECT 1 FROM recipient r WHERE r.destination ="                  \
	  " domain.destination AND r.domain = domain.name AND r.lane <> 3)")   \
	X("SELECT count(*) FROM segment s LEFT JOIN (SELECT segment,"          \
	  " count(*) AS n, sum(length) AS b, sum(size) AS c FROM message"      \
	  " GROUP BY segment) m"                                               \
	  " ON m.segment = s.number WHERE s.live_count <> ifnull(n, 0)"        \
	  " OR s.live_bytes <> ifnull(b, 0)"                                   \
	  " OR s.live_content <> ifnull(c, 0)")                                \
	X("SELECT count(*) FROM destination d WHERE odd_count <>"              \
	  " (SELECT count(*) FROM special s WHERE s.destination = d.no"        \
	  " AND s.kind = 0) OR multi_count <> (SELECT count(*) FROM special s" \
	  " WHERE s.destination = d.no AND s.kind = 1)")

#endif
