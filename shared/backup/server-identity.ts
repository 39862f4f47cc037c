/** What a server or a cluster is known by, at whatever address it was reached. */
export interface ServerIdentity {
  /**
   * Of a server its run id, which changes when it starts anew, its network address, which does not, and the history of changes that it
   * shares with its replicas and its primary. Of a cluster the ids of some of its nodes. None: it does not tell.
   */
  ids: string[];
  /**
   * By which it was known before it was promoted. Whoever writes to what is known by them may write here. Not the other way round: a copy
   * that was cut loose from a server is its own ever since.
   */
  formerIds?: string[];
}
