;;; starchat-confirm.el --- A look at edits before they are made  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; For those who want one: what an edit would change is shown as a diff, and
;; made if the user says so.

;;; Code:

(require 'diff)
(require 'starchat-edits)

(defcustom starchat-confirm-edits nil
  "Whether each edit is shown as a diff first."
  :type 'boolean
  :group 'starchat)

(defun starchat-confirm (buffer edits)
  "Whether EDITS of BUFFER are wanted; the user is asked where they said so."
  (or (not starchat-confirm-edits)
      (let ((after (generate-new-buffer " *starchat proposed*")))
        (unwind-protect (starchat-confirm--ask buffer after edits)
          (kill-buffer after)))))

(defun starchat-confirm--ask (buffer after edits)
  "Show what EDITS make of BUFFER, by way of the buffer AFTER, and ask."
  (let ((text (with-current-buffer buffer (starchat-text))))
    (with-current-buffer after
      (insert text)
      (starchat-apply-edits edits)))
  (save-window-excursion
    (display-buffer (diff-no-select buffer after "-u" t (get-buffer-create "*starchat diff*")))
    (condition-case nil (y-or-n-p "StarChat: make this change? ")
      (quit nil))))

(provide 'starchat-confirm)
;;; starchat-confirm.el ends here
