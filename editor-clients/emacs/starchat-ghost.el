;;; starchat-ghost.el --- What the model would write at point  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; While one types, the text that the server would insert at point is shown
;; there; it is taken or left.  The keys for that are ours only while there is
;; such text.

;;; Code:

(require 'starchat-connection)

(defcustom starchat-ghost-delay 0.25
  "Seconds without a key before the server is asked."
  :type 'number
  :group 'starchat)

(defface starchat-ghost '((t :inherit shadow :slant italic))
  "Text that is not there yet."
  :group 'starchat)

(defvar-local starchat-ghost--overlay nil "Where the text is shown.")
(defvar-local starchat-ghost--place nil "Point and the state of the text, as the last command left them.")
(defvar-local starchat-ghost--timer nil "When the server will be asked.")

(defvar starchat-ghost-shown-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "TAB") #'starchat-ghost-accept)
    (define-key map (kbd "<tab>") #'starchat-ghost-accept)
    (define-key map (kbd "M-<right>") #'starchat-ghost-accept-word)
    (define-key map (kbd "C-g") #'starchat-ghost-dismiss)
    map)
  "Keys while there is text to take.")

(define-minor-mode starchat-ghost-shown-mode
  "Whether there is text to take; not for people."
  :group 'starchat)

;;;###autoload
(define-minor-mode starchat-ghost-mode
  "Show at point what the model would write there.
\\<starchat-ghost-shown-mode-map>\\[starchat-ghost-accept] takes it, \\[starchat-ghost-accept-word] its first word, \
\\[starchat-ghost-dismiss] leaves it."
  :group 'starchat
  (if (not starchat-ghost-mode)
      (progn (remove-hook 'post-command-hook #'starchat-ghost--after-command t)
             (starchat-ghost-dismiss))
    (starchat-connect)
    (starchat-sync)
    (setq starchat-ghost--place (starchat-ghost--here))
    (add-hook 'post-command-hook #'starchat-ghost--after-command nil t)))

(defun starchat-ghost-accept (&optional word)
  "Insert the text that is shown, or with WORD its first word."
  (interactive)
  (let ((text (starchat-ghost-text)))
    (starchat-ghost-dismiss)
    (when text
      (insert (if (and word (string-match "\\`[[:space:]\n]*[^[:space:]\n]+" text)) (match-string 0 text) text)))))

(defun starchat-ghost-accept-word ()
  "Insert the first word of the text that is shown."
  (interactive)
  (starchat-ghost-accept t))

(defun starchat-ghost-dismiss ()
  "Take the text away."
  (interactive)
  (when starchat-ghost--timer (cancel-timer starchat-ghost--timer))
  (when starchat-ghost--overlay (delete-overlay starchat-ghost--overlay))
  (setq starchat-ghost--timer nil starchat-ghost--overlay nil)
  (when starchat-ghost-shown-mode (starchat-ghost-shown-mode -1)))

(defun starchat-ghost-text ()
  "The text that is shown, or nil."
  (and starchat-ghost--overlay (substring-no-properties (overlay-get starchat-ghost--overlay 'after-string))))

(defun starchat-ghost--after-command ()
  "Ask soon where the last command changed the text.
What was shown before it no longer fits."
  (let ((before starchat-ghost--place) (here (starchat-ghost--here)))
    (unless (equal before here)
      (setq starchat-ghost--place here)
      (starchat-ghost-dismiss)
      (unless (eql (cdr before) (cdr here))
        (setq starchat-ghost--timer
              (run-with-timer starchat-ghost-delay nil #'starchat-ghost--ask (current-buffer) here))))))

(defun starchat-ghost--ask (buffer place)
  "Ask what fits at PLACE in BUFFER, if point is still there."
  (when (and (buffer-live-p buffer) (starchat-running-p))
    (with-current-buffer buffer
      (when (and (equal place (starchat-ghost--here)) (not buffer-read-only))
        (starchat-sync)
        (starchat-request :textDocument/inlineCompletion
                          (list :textDocument (list :uri (starchat-uri)) :position (starchat-position (point))
                                :context '(:triggerKind 2))
                          (lambda (found _error) (starchat-ghost--came found place)))))))

(defun starchat-ghost--came (found place)
  "Show what was FOUND for PLACE."
  (let* ((items (append (if (vectorp found) found (plist-get found :items)) nil))
         (text (plist-get (car items) :insertText)))
    (when (and starchat-ghost-mode (stringp text) (not (string-empty-p text)) (equal place (starchat-ghost--here)))
      (starchat-ghost-dismiss)
      (setq starchat-ghost--overlay (make-overlay (point) (point)))
      (overlay-put starchat-ghost--overlay 'after-string (propertize text 'face 'starchat-ghost 'cursor t))
      (starchat-ghost-shown-mode))))

(defun starchat-ghost--here ()
  "Point and the state of the text."
  (cons (point) (buffer-chars-modified-tick)))

(provide 'starchat-ghost)
;;; starchat-ghost.el ends here
